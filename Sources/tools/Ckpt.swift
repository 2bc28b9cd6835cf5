import ArgumentParser

@main
struct Ckpt: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "ckpt")
}
