// What is advised, what hindsight says, and the rows the ledger keeps of both.
#include <boost/json.hpp>
#include <utility>

#include "gateway/admin/advice_json.h"
#include "gateway/admin/json_reader.h"
#include "gateway/admin/plan_wire.h"

namespace dormouse::gateway {
namespace {

namespace json = boost::json;

json::array texts_json(const std::vector<std::string>& texts) {
  json::array out;
  for (const std::string& text : texts) out.push_back(json::value(text));
  return out;
}

json::value whole_or_null(const std::optional<std::int64_t>& number) {
  return number.has_value() ? json::value(*number) : json::value(nullptr);
}

std::optional<std::int64_t> maybe_whole(const JsonReader& r, std::string_view key) {
  if (!r.maybe_number(key).has_value()) return std::nullopt;
  return r.whole(key);
}

json::value choice_json(const std::optional<Choice>& choice) {
  if (!choice.has_value()) return nullptr;
  const bool is_monthly = choice->kind == Choice::Kind::kMonthly;
  json::object out{{"kind", is_monthly ? "monthly" : "timer"},
                   {"micros", choice->micros},
                   {"awake_s", choice->awake_s},
                   {"idle_s", choice->idle_s},
                   {"cold_share", choice->cold_share},
                   {"p99_s", choice->p99_s}};
  if (is_monthly) return out;
  out["idle_timeout_s"] = choice->idle_timeout_s;
  out["awake"] = texts_json(choice->awake);
  return out;
}

std::optional<Choice> read_choice(const JsonReader& parent, std::string_view key) {
  const json::object* const object = parent.object(key);
  if (object == nullptr) return std::nullopt;
  const JsonReader r(*object);
  Choice out;
  out.kind = r.text("kind") == "monthly" ? Choice::Kind::kMonthly : Choice::Kind::kTimer;
  out.idle_timeout_s = r.number("idle_timeout_s");
  out.awake = r.texts("awake");
  out.micros = r.whole("micros");
  out.awake_s = r.number("awake_s");
  out.idle_s = r.number("idle_s");
  out.cold_share = r.number("cold_share");
  out.p99_s = r.number("p99_s");
  return out;
}

json::object change_object(const PlanAdvice& advice) {
  json::object out;
  if (advice.idle_timeout.has_value()) out["idle_timeout"] = *advice.idle_timeout;
  if (advice.max.has_value()) out["max"] = *advice.max;
  if (advice.awake.has_value()) out["awake"] = texts_json(*advice.awake);
  return out;
}

void read_change(const json::object& object, PlanAdvice& out) {
  const JsonReader r(object);
  if (object.contains("idle_timeout")) out.idle_timeout = r.text("idle_timeout");
  if (object.contains("max")) out.max = r.whole("max");
  if (object.contains("awake")) out.awake = r.texts("awake");
}

Result<Verdict> read_verdict(const JsonReader& r) {
  const std::optional<Verdict> verdict = verdict_of(r.text("verdict"));
  if (!verdict.has_value()) return make_error(Code::kDataLoss, "advice: an unknown verdict");
  return *verdict;
}

}  // namespace

json::object advice_object(const PlanAdvice& advice) {
  json::array why;
  for (const Why& one : advice.why) {
    why.push_back(json::object{{"reason", to_string(one.reason)}, {"number", one.number}});
  }
  return {{"verdict", to_string(advice.verdict)},
          {"days", advice.days},
          {"requests", advice.requests},
          {"currency", advice.currency},
          {"now", choice_json(advice.now)},
          {"then", choice_json(advice.then)},
          {"monthly", choice_json(advice.monthly)},
          {"saving_micros", advice.saving_micros},
          {"change", change_object(advice)},
          {"why", std::move(why)}};
}

Result<PlanAdvice> read_advice(const json::object& object) {
  const JsonReader r(object);
  PlanAdvice out;
  TRY(out.verdict, read_verdict(r));
  out.days = r.number("days");
  out.requests = r.whole("requests");
  out.currency = r.text("currency");
  out.now = read_choice(r, "now");
  out.then = read_choice(r, "then");
  out.monthly = read_choice(r, "monthly");
  out.saving_micros = r.whole("saving_micros");
  if (const json::object* change = r.object("change")) read_change(*change, out);
  for (const json::object* item : r.objects("why")) {
    const JsonReader w(*item);
    const std::optional<Reason> reason = reason_of(w.text("reason"));
    if (!reason.has_value()) return make_error(Code::kDataLoss, "advice: an unknown reason");
    out.why.push_back({*reason, w.number("number")});
  }
  return out;
}

std::string to_json(const PlanAdvice& advice) {
  return json::serialize(advice_object(advice));
}

std::string change_json(const PlanAdvice& advice) {
  return json::serialize(change_object(advice));
}

Result<PlanAdvice> parse_advice(std::string_view text) {
  TRY(const json::value root, parse_json_object(text));
  return read_advice(root.get_object());
}

std::string to_json(const Hindsight& h) {
  return json::serialize(json::object{{"verdict", to_string(h.verdict)},
                                      {"month", h.month},
                                      {"requests", h.requests},
                                      {"currency", h.currency},
                                      {"paid_micros", whole_or_null(h.paid_micros)},
                                      {"best", choice_json(h.best)}});
}

Result<Hindsight> parse_hindsight(std::string_view text) {
  TRY(const json::value root, parse_json_object(text));
  const JsonReader r(root.get_object());
  Hindsight out;
  TRY(out.verdict, read_verdict(r));
  out.month = r.text("month");
  out.requests = r.whole("requests");
  out.currency = r.text("currency");
  out.paid_micros = maybe_whole(r, "paid_micros");
  out.best = read_choice(r, "best");
  return out;
}

std::string advice_list_json(const std::vector<ledger::AdviceRecord>& rows, const TimeZone& zone) {
  json::array list;
  for (const ledger::AdviceRecord& row : rows) {
    json::object one{{"id", row.id},
                     {"at", zone.iso({row.at_us})},
                     {"at_us", row.at_us},
                     {"deployment", row.deployment},
                     {"kind", row.kind == ledger::AdviceKind::kRegret ? "regret" : "weekly"},
                     {"begin", zone.iso({row.period_begin_us})},
                     {"end", zone.iso({row.period_end_us})},
                     {"begin_us", row.period_begin_us},
                     {"end_us", row.period_end_us},
                     {"paid_micros", whole_or_null(row.paid_micros)},
                     {"best_micros", whole_or_null(row.best_micros)},
                     {"currency", row.currency}};
    // Only we write it; should it be damaged the row still shows.
    Result<json::value> body = parse_json_object(row.body);
    one["body"] = body.has_value() ? *std::move(body) : json::value(json::object());
    list.push_back(std::move(one));
  }
  return json::serialize(json::object{{"advice", std::move(list)}});
}

Result<std::vector<ledger::AdviceRecord>> parse_advice_list(std::string_view text) {
  TRY(const json::value root, parse_json_object(text));
  const JsonReader r(root.get_object());
  std::vector<ledger::AdviceRecord> out;
  for (const json::object* item : r.objects("advice")) {
    const JsonReader row(*item);
    ledger::AdviceRecord& one = out.emplace_back();
    one.id = row.whole("id");
    one.at_us = row.whole("at_us");
    one.deployment = row.text("deployment");
    one.kind = row.text("kind") == "regret" ? ledger::AdviceKind::kRegret : ledger::AdviceKind::kWeekly;
    one.period_begin_us = row.whole("begin_us");
    one.period_end_us = row.whole("end_us");
    one.paid_micros = maybe_whole(row, "paid_micros");
    one.best_micros = maybe_whole(row, "best_micros");
    one.currency = row.text("currency");
    if (const json::object* body = row.object("body")) one.body = json::serialize(*body);
  }
  return out;
}

}  // namespace dormouse::gateway
