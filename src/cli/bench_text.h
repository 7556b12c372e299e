// What `dormouse bench` says in a terminal, in the reader's language. No I/O.
#pragma once

#include <optional>
#include <string>

#include "cli/bench_flags.h"
#include "cli/words.h"
#include "loadtest/record.h"

namespace dormouse::cli {

// "concurrency 8", "Poisson 0.5/s", "trace ×10", "cold".
[[nodiscard]] std::string load_words(const loadtest::Step& step, Language language);
[[nodiscard]] std::string_view failure_words(loadtest::Failure failure, Language language);
// "850 ms", "1.25 s", "34 s".
[[nodiscard]] std::string latency_words(double seconds, Language language);

// p50 / p95 / p99 in one unit: "9.5 / 24 / 131 ms". "–": there are none.
[[nodiscard]] std::string percentile_words(const std::optional<loadtest::Percentiles>& values);

// One line while a step runs: how far it is and how long it still takes. `requests`: of the whole step; 0: not known.
[[nodiscard]] std::string progress_text(const BenchStep& step, std::int64_t requests,
                                        const loadtest::Progress& progress, Language language);
// The table of a run, a row a step, and below it what went wrong.
[[nodiscard]] std::string bench_table(const loadtest::BenchRecord& record, Language language);

}  // namespace dormouse::cli
