import CHDF5

/// A file driver for libhdf5 that writes through `DirectOutput`. Used on `HDF5Thread` only.
enum HDF5FileDriver {
    /// The driver's number, registered on first use; negative where libhdf5 refuses it.
    private static let identifier: hid_t = {
        var driver = ckpt_h5fd_class()
        name.withUTF8Buffer { driver.name = UnsafeRawPointer($0.baseAddress!).assumingMemoryBound(to: CChar.self) }
        driver.maxaddr = haddr_t(Int.max)
        driver.fc_degree = H5F_CLOSE_STRONG
        driver.fapl_size = MemoryLayout<UnsafeMutableRawPointer>.size
        driver.open = { _, _, access, _ in HDF5FileDriver.open(access) }
        driver.close = { file in
            file!.withMemoryRebound(to: DriverFile.self, capacity: 1) {
                $0.pointee.state.release()
                $0.deallocate()
            }
            return 0
        }
        driver.query = { _, flags in
            flags?.pointee = UInt(
                H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA_WRITE
                    | H5FD_FEAT_ACCUMULATE_METADATA_READ | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_AGGREGATE_SMALLDATA
                    | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE)
            return 0
        }
        driver.get_eoa = { file, _ in HDF5FileDriver.state(of: file).allocated }
        driver.set_eoa = { file, _, address in
            HDF5FileDriver.state(of: file).allocated = address
            return 0
        }
        driver.get_eof = { file, _ in
            let state = HDF5FileDriver.state(of: file)
            return max(state.allocated, haddr_t(state.output.byteCount))
        }
        driver.read = { file, _, _, address, count, buffer in
            HDF5FileDriver.state(of: file).attempt {
                try $0.read(at: Int(address), into: UnsafeMutableRawBufferPointer(start: buffer, count: count))
            }
        }
        driver.write = { file, _, _, address, count, buffer in
            HDF5FileDriver.state(of: file).attempt {
                try $0.write(UnsafeRawBufferPointer(start: buffer, count: count), at: Int(address))
            }
        }
        return H5FDregister(&driver)
    }()
    private static let name: StaticString = "ckpt"

    /// What the callbacks share with the owner of the file.
    final class State {
        let output: DirectOutput
        /// The address up to which libhdf5 has given out space.
        fileprivate(set) var allocated: haddr_t = 0
        /// Why a callback failed first: libhdf5 only learns that one did.
        private(set) var failure: CheckpointError?

        init(_ output: DirectOutput) { self.output = output }

        fileprivate func attempt(_ body: (DirectOutput) throws -> Void) -> herr_t {
            do {
                try body(output)
                return 0
            } catch {
                failure = failure ?? error as? CheckpointError
                return -1
            }
        }
    }

    /// Makes files that are created with these access properties go to `state`, which must outlive the creation.
    /// - Returns: whether libhdf5 took the driver.
    static func use(_ state: State, for access: hid_t) -> Bool {
        var pointer: UnsafeMutableRawPointer = Unmanaged.passUnretained(state).toOpaque()
        return identifier >= 0 && H5Pset_driver(access, identifier, &pointer) >= 0
    }

    private static func open(_ access: hid_t) -> UnsafeMutablePointer<H5FD_t>? {
        guard let information = H5Pget_driver_info(access) else { return nil }
        let pointer = information.load(as: UnsafeMutableRawPointer.self)
        let file = UnsafeMutablePointer<DriverFile>.allocate(capacity: 1)
        file.initialize(to: DriverFile(state: Unmanaged<State>.fromOpaque(pointer).retain()))
        return UnsafeMutableRawPointer(file).assumingMemoryBound(to: H5FD_t.self)
    }

    private static func state(of file: UnsafePointer<H5FD_t>?) -> State {
        UnsafeRawPointer(file!).assumingMemoryBound(to: DriverFile.self).pointee.state.takeUnretainedValue()
    }

    /// libhdf5 fills the first part.
    private struct DriverFile {
        var base = H5FD_t()
        var state: Unmanaged<State>
    }
}
