import CheckpointIO

// Prints what a checkpoint holds: swift run ReadCheckpoint model.h5
let file = try CheckpointFile(path: CommandLine.arguments[1])
print("\(file.tensors().count) tensors, digest \(file.digest)")
for tensor in file.tensors() {
    let description = tensor.description
    print("\(description.name)  \(description.elementType.rawValue)  \(description.shape)")
}
