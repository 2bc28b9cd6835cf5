import OrderedJSON

/// Metrics in JSON as trainers write it: a line for each step, or `log_history` in a `trainer_state.json`.
enum JSONMetrics {
    /// The names under which logs give the step.
    private static let stepNames = [
        "step", "global_step", "current_steps", "train/global_step", "trainer/global_step", "_step",
        "iteration",
    ]
    private static let maximumState = 1 << 28

    /// Reads the lines that have a step; verl's have the metrics in `data`.
    ///
    /// A last line that does not end is passed over, because a run may still write.
    ///
    /// - Throws: `DataFileError` if a line is not valid JSON or the file cannot be read.
    static func readLines(_ path: String, into table: inout MetricTable) throws {
        var reader = try LineReader(path: path)
        var bad: DataFileError?
        while let line = try reader.next() {
            if let bad { throw bad }
            guard line.contains(where: { !$0.isSpace }) else { continue }
            do {
                try add(try JSON.parse(valid(line)), to: &table)
            } catch let problem as FormatProblem {
                throw DataFileError(path: path, reason: problem.reason)
            } catch {
                bad = DataFileError(
                    path: path, place: "line \(reader.lineNumber)", reason: "is not valid JSON: \(error)")
            }
        }
    }

    /// Reads the log of transformers' Trainer, which TRL and LLaMA-Factory save beside each checkpoint.
    ///
    /// - Returns: the steps that the run is to make, if the file says so.
    /// - Throws: `DataFileError` if the file is not one or cannot be read.
    static func readTrainerState(_ path: String, into table: inout MetricTable) throws -> Int? {
        let file = try OpenFile(path: path)
        guard let size = file.size, size <= maximumState else {
            throw DataFileError(path: path, reason: "is not a regular file of at most 256 MiB")
        }
        do {
            let json = try JSON.parse(valid(try file.bytes(at: 0, count: size)[...]))
            guard let rows = json["log_history"]?.array else { throw FormatProblem("has no log_history") }
            for row in rows { try add(row, to: &table) }
            return json["max_steps"]?.int.flatMap { $0 > 0 ? $0 : nil }
        } catch let problem as FormatProblem {
            throw DataFileError(path: path, reason: problem.reason)
        } catch let error as JSONError {
            throw DataFileError(path: path, reason: "is not valid JSON: \(error)")
        }
    }

    private static func add(_ row: JSON, to table: inout MetricTable) throws {
        guard let members = row.object,
            let step = stepNames.lazy.compactMap({ members[$0]?.double }).first.flatMap(
                Int.init(exactly:))
        else { return }
        for (name, value) in members where !stepNames.contains(name) {
            if name == "data", let nested = value.object {
                for (name, value) in nested { try table.add(value, step: step, name: name) }
            } else {
                try table.add(value, step: step, name: name)
            }
        }
    }

    /// The bytes with Python's NaN, Infinity and -Infinity as strings, which JSON does not have.
    private static func valid(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        let words: [[UInt8]] = ["NaN", "Infinity", "-Infinity"].map { Array($0.utf8) }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var isText = false
        var index = bytes.startIndex
        while index < bytes.endIndex {
            let byte = bytes[index]
            if isText {
                result.append(byte)
                // What a backslash escapes does not end the text.
                if byte == UInt8(ascii: "\\"), index + 1 < bytes.endIndex {
                    index += 1
                    result.append(bytes[index])
                }
                isText = byte != UInt8(ascii: "\"")
            } else if let word = words.first(where: { bytes[index...].starts(with: $0) }) {
                result += [UInt8(ascii: "\"")] + word + [UInt8(ascii: "\"")]
                index += word.count - 1
            } else {
                result.append(byte)
                isText = byte == UInt8(ascii: "\"")
            }
            index += 1
        }
        return result
    }
}
