#include "gateway/overview/overview_wire.h"

#include <unistd.h>

#include <boost/json.hpp>
#include <string_view>
#include <utility>

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

constexpr std::string_view kThisMachine = "local";

json::value text_or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

json::value number_or_null(std::int64_t number) {
  return number == 0 ? json::value(nullptr) : json::value(number);
}

json::value maybe(const std::optional<std::int64_t>& number) {
  return number.has_value() ? json::value(*number) : json::value(nullptr);
}

json::object object_of(const catalog::InstanceType& type, const ThisMachine& machine) {
  const bool is_here = type.name == kThisMachine;
  // Cards and machines are sold by powers of two.
  const std::int64_t memory_bytes = is_here && type.ram_gb == 0 ? machine.memory_bytes : type.ram_gb << 30U;
  json::object out{{"id", type.name},
                   {"title_en", type.title_en},
                   {"title_zh", type.title_zh},
                   {"provider", text_or_null(type.provider)},
                   {"size", text_or_null(type.size)},
                   {"suits_en", text_or_null(type.suits_en)},
                   {"suits_zh", text_or_null(type.suits_zh)},
                   {"currency", text_or_null(type.currency)},
                   {"hour_micros", maybe(type.hour_micros)},
                   {"month_micros", maybe(type.month_micros)},
                   {"spot_hour_micros", maybe(type.spot_hour_micros)},
                   {"fixed_month_micros", maybe(type.fixed_month_micros)},
                   {"increment_ms", type.increment.count()},
                   {"minimum_ms", type.minimum.count()},
                   {"vram_bytes", number_or_null(type.vram_gb << 30U)},
                   {"memory_bytes", number_or_null(memory_bytes)},
                   {"cores", is_here ? number_or_null(machine.cores) : json::value(nullptr)},
                   {"tokens_per_second", nullptr},
                   {"source", text_or_null(type.source)},
                   {"as_of", text_or_null(type.date)}};
  if (type.tokens_per_second > 0) out["tokens_per_second"] = type.tokens_per_second;
  return out;
}

std::string_view name_of(ledger::StripKind kind) {
  switch (kind) {
    case ledger::StripKind::kIdle: return "idle";
    case ledger::StripKind::kWaking: return "waking";
    case ledger::StripKind::kBusy: return "busy";
  }
  return "";
}

}  // namespace

ThisMachine look_at_this_machine() {
  return {std::int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE), ::sysconf(_SC_NPROCESSORS_ONLN)};
}

std::string instance_types_json(const catalog::InstanceTypes& types, const ThisMachine& machine) {
  json::array rows;
  for (const catalog::InstanceType& type : types.all()) rows.push_back(object_of(type, machine));
  return json::serialize(json::object{{"instance_types", std::move(rows)}});
}

std::string strip_json(const ledger::StripQuery& query, const ledger::Strip& strip) {
  json::array pieces;
  for (const ledger::StripPiece& piece : strip.pieces) {
    pieces.push_back(
        json::object{{"from", piece.begin_us / 1'000}, {"to", piece.end_us / 1'000}, {"kind", name_of(piece.kind)}});
  }
  json::array requests;
  for (const std::int64_t at_us : strip.requests_us) requests.push_back(at_us / 1'000);
  return json::serialize(json::object{{"from", query.begin_us / 1'000},
                                      {"to", query.end_us / 1'000},
                                      {"complete_since", strip.complete_since_us / 1'000},
                                      {"pieces", std::move(pieces)},
                                      {"requests", std::move(requests)}});
}

}  // namespace dormouse::gateway
