import Foundation
import HostileAnswers
import TrainLoop

// Measures the processor time for extracting and comparing each hostile answer, by the slowest answer rule and truth.
//
//     grading-bench [REPEATS]     prints the median of the repeats (default 5); exit status 1 if one is over 50 ms

let repeats = max(1, CommandLine.arguments.dropFirst().first.flatMap(Int.init) ?? 5)
let limit = 50.0

/// The processor time of this thread, on which other work of the machine has little influence.
func processorTime() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Double(time.tv_sec) * 1000 + Double(time.tv_nsec) / 1e6
}

func milliseconds(_ body: () -> Void) -> Double {
    let times = (0..<repeats).map { _ in
        let start = processorTime()
        body()
        return processorTime() - start
    }
    return times.sorted()[repeats / 2]
}

var worst = 0.0
print("      ms  answer (rule, truth of the slowest)")
for hostile in HostileAnswers.all {
    var slowest = (time: 0.0, what: "")
    for rule in AnswerRule.allCases {
        for truth in HostileAnswers.truths {
            let time = milliseconds {
                guard let found = AnswerExtraction.answer(in: hostile.text, rule: rule) else { return }
                _ = MathGrader.areEquivalent(found, truth)
            }
            if time > slowest.time { slowest = (time, "\(rule.rawValue), \(truth.prefix(12))") }
        }
    }
    // The form of a recorded response.
    let response = "<think>" + hostile.text
    let whole = milliseconds { _ = ResponseForm.ofText(response, isTruncated: false) }
    worst = max(worst, slowest.time, whole)
    print(String(format: "%8.2f  ", max(slowest.time, whole)) + "\(hostile.name) (\(slowest.what))")
}
print(String(format: "slowest %.2f ms, limit %.0f ms", worst, limit))
exit(worst < limit ? 0 : 1)
