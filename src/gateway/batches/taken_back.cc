#include "gateway/batches/taken_back.h"

#include <utility>

#include "gateway/one_shot.h"

namespace dormouse::gateway {
namespace {

// Twice a request's deadline (GatewayOptions::request_timeout).
constexpr std::int64_t kLongest_us = std::int64_t{1'200} * 1'000'000;
constexpr std::int64_t kPage = 1'000;

}  // namespace

Task<Result<std::set<std::string>>> taken_back(asio::io_context& io, ledger::Ledger& ledger) {
  std::set<std::string> out;
  ledger::RequestQuery query;
  query.limit = kPage;
  do {
    const OneShot<Result<ledger::RequestPage>> answer(io);
    ledger.request_page(query, [answer](Result<ledger::RequestPage> got) { answer.set(std::move(got)); });
    const Result<ledger::RequestPage> page = co_await answer.get();
    if (!page.has_value()) co_return page.error();
    if (query.after.empty() && !page->rows.empty()) query.begin_us = page->rows.front().at_us - kLongest_us;
    for (const ledger::RequestRow& row : page->rows) {
      if (row.at_us < query.begin_us) continue;
      const bool broke_off = row.settled && row.settlement.outcome == ledger::Outcome::kInterrupted;
      if (row.refunded || broke_off) out.insert(row.request_id);
    }
    query.after = page->next;
  } while (!query.after.empty());
  co_return out;
}

}  // namespace dormouse::gateway
