// Reports as a person reads them in a terminal, in the reader's language. Pure.
#pragma once

#include <string>

#include "cli/words.h"
#include "gateway/admin/report_wire.h"

namespace dormouse::cli {

[[nodiscard]] std::string usage_text(const gateway::UsageView& view, Language language);
// Seven days of 24 hours, darker where there is more.
[[nodiscard]] std::string heat_map(const gateway::UsageView& view, Language language);
[[nodiscard]] std::string errors_text(const gateway::ErrorsView& view, Language language);
// What was paid, and of it what computed, what woke and what waited.
[[nodiscard]] std::string bill_text(const gateway::BillView& view, Language language);

}  // namespace dormouse::cli
