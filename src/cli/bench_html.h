// The report of a load test as one HTML page: tables and charts, in the reader's language, light or dark as the
// reader's system is. No script, nothing loaded from elsewhere; text that came from a server is escaped. No I/O.
#pragma once

#include <string>

#include "cli/words.h"
#include "loadtest/record.h"

namespace dormouse::cli {

// Of a record as it was measured: one that was read back lacks the curves and the errors' words.
[[nodiscard]] std::string bench_html(const loadtest::BenchRecord& record, Language language);

}  // namespace dormouse::cli
