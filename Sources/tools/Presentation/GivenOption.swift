/// Takes a flag's value over where the flag was given; defaults, presets and stored options stand otherwise.
func take<Value>(_ given: Value?, into target: inout Value) {
    if let given { target = given }
}

/// The same for an option that may be unset.
func takeOptional<Value>(_ given: Value?, into target: inout Value?) {
    if let given { target = given }
}
