#include "engine/plan_check.h"

#include <string>

namespace dormouse::engine {
namespace {

Error plan_error(const char* what, std::int64_t got, std::int64_t limit) {
  return make_error(Code::kInvalidArgument, std::string("engine: plan's ") + what + " is " + std::to_string(got) +
                                                ", limit " + std::to_string(limit));
}

Status check_entry(const sched::PlanEntry& entry, const PlanBounds& bounds) {
  const auto count = static_cast<std::int64_t>(entry.tokens.size());
  if (count == 0) return make_error(Code::kInvalidArgument, "engine: plan holds an entry without tokens");
  if (entry.start_position < 0) return plan_error("start position", entry.start_position, 0);
  const std::int64_t end = entry.start_position + count;
  if (end > bounds.context) return plan_error("last position + 1", end, bounds.context);
  const std::int64_t pages = (end + sched::kPageTokens - 1) / sched::kPageTokens;
  if (static_cast<std::int64_t>(entry.pages.size()) < pages) {
    return plan_error("pages needed", pages, static_cast<std::int64_t>(entry.pages.size()));
  }
  for (const sched::PageId page : entry.pages.first(static_cast<std::size_t>(pages))) {
    if (page < 0 || page >= bounds.pages) return plan_error("page", page, bounds.pages);
  }
  for (const sched::TokenId token : entry.tokens) {
    if (token < 0 || token >= bounds.vocab) return plan_error("token", token, bounds.vocab);
  }
  return {};
}

}  // namespace

Status check_plan(const sched::BatchPlan& plan, const PlanBounds& bounds) {
  std::int64_t tokens = 0;
  std::int64_t logits = 0;
  std::int64_t hidden = 0;
  for (const sched::PlanEntry& entry : plan.entries) {
    TRY_STATUS(check_entry(entry, bounds));
    const auto count = static_cast<std::int64_t>(entry.tokens.size());
    tokens += count;
    if (entry.wants_hidden) {
      if (!bounds.gives_hidden) {
        return make_error(Code::kInvalidArgument, "engine: hidden states are not available on this device");
      }
      if (entry.wants_all_logits || entry.wants_logits) {
        return make_error(Code::kInvalidArgument, "engine: an entry wants logits or hidden states, not both");
      }
      hidden += count;
    } else if (entry.wants_all_logits) {
      logits += count;
    } else if (entry.wants_logits) {
      ++logits;
    }
  }
  if (tokens > bounds.rows) return plan_error("token count", tokens, bounds.rows);
  if (logits > bounds.logits_rows) return plan_error("logits count", logits, bounds.logits_rows);
  if (tokens != plan.token_count || logits != plan.logits_count || hidden != plan.hidden_count) {
    return make_error(Code::kInvalidArgument, "engine: plan's counts differ from its entries");
  }
  return {};
}

}  // namespace dormouse::engine
