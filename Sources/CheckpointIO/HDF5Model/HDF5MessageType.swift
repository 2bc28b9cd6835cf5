/// The types of object header messages that checkpoints use.
enum HDF5MessageType: Int {
    case null = 0x00
    case dataspace = 0x01
    case datatype = 0x03
    case oldFillValue = 0x04
    case fillValue = 0x05
    case layout = 0x08
    case filterPipeline = 0x0b
    case attribute = 0x0c
    case oldModificationTime = 0x0e
    case continuation = 0x10
    case symbolTable = 0x11
    case modificationTime = 0x12
}
