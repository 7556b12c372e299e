// Goal: whatever dies, the bill is right: no request is lost or doubled, nobody pays for more than was delivered, and
// what is not billed of it is at most 64 tokens or a second of its stream.
// Method: SIGKILL to gateway and worker at random moments and at every named crash point of the gateway while streams
// and whole answers run; what each caller received is held against the rows of the ledger afterwards.
// DORMOUSE_CHAOS_ROUNDS=1000 is the long form; DORMOUSE_SEED repeats a run.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "e2e/running_house.h"
#include "ledger/reports/select.h"
#include "ledger/sqlite.h"

namespace dormouse::e2e {
namespace {

using std::chrono::milliseconds;

constexpr std::int64_t kTokensPerSecond = 400;
// 64 tokens or a second of the stream, and what may be under way between two looks.
constexpr std::int64_t kMostUnbilled = kTokensPerSecond + 64;

std::int64_t environment_number(const char* name, std::int64_t fallback) {
  const char* const text = std::getenv(name);
  return text != nullptr ? std::strtoll(text, nullptr, 10) : fallback;
}

HouseSetup priced() {
  HouseSetup setup;
  setup.fakes = {{"demo", "tokens=400,tokens_per_s=" + std::to_string(kTokensPerSecond)}};
  setup.config = "[[instance]]\nname = \"local\"\nhour = \"1.80\"\ncurrency = \"CNY\"\n";
  return setup;
}

Wish generation(std::int64_t tokens, bool stream) {
  Wish wish;
  wish.method = "POST";
  wish.target = "/generate";
  wish.body = "{\"prompt\":\"x\",\"max_tokens\":" + std::to_string(tokens) + (stream ? ",\"stream\":true}" : "}");
  return wish;
}

// What a caller has in hand.
struct Received {
  std::string request_id;
  std::int64_t tokens = 0;
  bool whole = false;
};

// The fake worker's tokens are "w0", " w1", ...
std::int64_t count_tokens(const std::string& body) {
  std::int64_t count = 0;
  for (std::size_t at = body.find('w'); at != std::string::npos; at = body.find('w', at + 1)) {
    const bool is_token = at + 1 < body.size() && body[at + 1] >= '0' && body[at + 1] <= '9';
    count += is_token ? 1 : 0;
  }
  return count;
}

Received received(const Answer& answer) {
  Received out;
  out.request_id = std::string(answer.headers.find("x-request-id").value_or(""));
  // An error's text has no tokens; an SSE body's pieces are counted from its events, as they arrived.
  out.tokens = answer.status == 200 ? count_tokens(answer.body) : 0;
  out.whole = answer.status == 200 && answer.whole;
  return out;
}

std::map<std::string, ledger::RequestRow> ledger_rows(const RunningHouse& house) {
  std::map<std::string, ledger::RequestRow> out;
  Result<ledger::Connection> book =
      ledger::Connection::open(house.directory() + "/data/ledger.db", ledger::Access::kReadOnly);
  EXPECT_TRUE(book.has_value());
  if (!book.has_value()) return out;
  ledger::RequestQuery newest;
  newest.limit = 10'000;
  const Result<ledger::RequestPage> page = ledger::select_requests(*book, newest);
  EXPECT_TRUE(page.has_value());
  for (const ledger::RequestRow& row : page.value_or(ledger::RequestPage{}).rows) {
    EXPECT_TRUE(out.emplace(row.request_id, row).second) << "doubled: " << row.request_id;
  }
  return out;
}

void check_bill(const RunningHouse& house, const std::vector<Received>& all, const std::string& where) {
  const std::map<std::string, ledger::RequestRow> rows = ledger_rows(house);
  for (const Received& got : all) {
    if (got.request_id.empty()) continue;  // the door was closed to it
    const auto found = rows.find(got.request_id);
    // A refusal reserves nothing; whoever got a token was reserved for.
    if (found == rows.end()) {
      EXPECT_EQ(got.tokens, 0) << where << ": lost " << got.request_id;
      continue;
    }
    const ledger::RequestRow& row = found->second;
    ASSERT_TRUE(row.settled) << where << ": left open: " << got.request_id;
    const std::int64_t billed = row.settlement.output_tokens - row.refunded_tokens;
    EXPECT_LE(billed, got.tokens) << where << ": " << got.request_id << " outcome "
                                  << static_cast<int>(row.settlement.outcome);
    const bool our_fault = row.settlement.outcome == ledger::Outcome::kFailed;  // free of charge
    if (!our_fault) {
      EXPECT_LE(got.tokens - billed, kMostUnbilled) << where << ": " << got.request_id;
    }
    EXPECT_LE(row.settlement.micros.value_or(0), row.settlement.cost_micros.value_or(0)) << where;
  }
}

class Billing : public ::testing::Test {
 protected:
  Billing() : seed_(static_cast<std::uint32_t>(environment_number("DORMOUSE_SEED", std::random_device{}()))) {
    random_.seed(seed_);
    std::printf("seed %u\n", seed_);
  }
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return std::uniform_int_distribution<std::int64_t>(least, most)(random_);
  }
  std::vector<Wish> load(int count) {
    std::vector<Wish> out;
    for (int i = 0; i < count; ++i) out.push_back(generation(between(1, 120), between(0, 3) != 0));
    return out;
  }
  std::vector<Received> ask(RunningHouse& house, std::vector<Wish> wishes) {
    std::vector<Received> out;
    for (const Answer& answer : house.ask_all(std::move(wishes))) out.push_back(received(answer));
    return out;
  }

  const std::uint32_t seed_;
  std::mt19937 random_;
};

TEST_F(Billing, AWholeAnswerIsBilledWholeAndSaysWhatItCost) {
  RunningHouse house(priced());
  ASSERT_TRUE(house.is_up()) << house.log();
  const Answer answer = house.post("/generate", R"({"prompt":"x","max_tokens":8})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_NE(answer.body.find("\"currency\":\"CNY\""), std::string::npos) << answer.body;
  const ledger::RequestRow row = ledger_rows(house).begin()->second;
  EXPECT_EQ(row.settlement.output_tokens, 8);
  EXPECT_EQ(row.settlement.produced_tokens, 8);
  EXPECT_EQ(row.settlement.finish_reason, "length");
  ASSERT_TRUE(row.settlement.micros.has_value());
  EXPECT_EQ(row.settlement.micros, row.settlement.cost_micros);
  // Alone on its instance: half a micro-unit a millisecond, rounded down.
  EXPECT_EQ(*row.settlement.cost_micros, row.settlement.busy_ns / 2'000'000);
  EXPECT_GT(row.settlement.busy_ns, 8 * 1'000'000'000LL / kTokensPerSecond / 2);
}

TEST_F(Billing, AMonthIsPaidWhetherItRunsOrNot) {
  HouseSetup setup = priced();
  setup.config =
      "[[instance]]\nname = \"local\"\nhour = \"1.80\"\nmonth = \"300\"\ncurrency = \"CNY\"\n"
      "[[instance]]\nname = \"bare\"\n";
  RunningHouse house(setup);
  ASSERT_TRUE(house.is_up()) << house.log();
  const std::string model = house.directory() + "/demo.gguf";
  const auto deploy = [&house, &model](const std::string& name, const std::string& rules) {
    return house.post("/admin/v1/deployments", "{\"name\":\"" + name + "\",\"image\":\"" + model + "\"," + rules + "}");
  };
  const Answer unpriced = deploy("unpriced", R"("instance_type":"bare","billing":"monthly")");
  EXPECT_EQ(unpriced.status, 400) << unpriced.body;
  EXPECT_NE(unpriced.body.find("billing"), std::string::npos) << unpriced.body;
  EXPECT_EQ(deploy("rented", R"("instance_type":"local","billing":"monthly","max":2)").status, 200);
  EXPECT_EQ(house.post("/generate", R"({"model":"rented","prompt":"x","max_tokens":8})").status, 200);
  for (const bool after_restart : {false, true}) {  // booked once, however often it is tried
    if (after_restart) {
      ASSERT_TRUE(house.restart()) << house.log();
    }
    const Answer bill = house.get("/admin/v1/bill?deployment=rented");
    ASSERT_EQ(bill.status, 200) << bill.body;
    // Two are rented, used or not.
    EXPECT_NE(bill.body.find("\"fee_micros\":600000000"), std::string::npos) << bill.body;
    EXPECT_NE(bill.body.find("\"total_micros\":600000000"), std::string::npos) << bill.body;
  }
}

TEST_F(Billing, AnIdempotencyKeyRunsOnceAndIsBilledOnce) {
  RunningHouse house(priced());
  ASSERT_TRUE(house.is_up()) << house.log();
  const auto ask_with = [&house](const std::string& key, Wish wish) {
    wish.headers.emplace_back("idempotency-key", key);
    return house.ask(std::move(wish));
  };
  for (const bool stream : {false, true}) {
    const std::string key = stream ? "a stream" : "a whole answer";
    const Answer first = ask_with(key, generation(8, stream));
    ASSERT_EQ(first.status, 200) << first.body;
    const Answer again = ask_with(key, generation(8, stream));
    EXPECT_EQ(again.status, 200);
    EXPECT_EQ(again.body, first.body);
    EXPECT_EQ(again.headers.find("idempotent-replayed").value_or("-"), "true");
    EXPECT_EQ(again.headers.find("content-type"), first.headers.find("content-type"));
    const Answer other = ask_with(key, generation(9, stream));
    EXPECT_EQ(other.status, 422) << other.body;
  }
  EXPECT_EQ(ledger_rows(house).size(), 2U);
  EXPECT_EQ(ask_with(std::string(256, 'x'), generation(1, false)).status, 400);
  // Two at once: one runs.
  std::vector<Wish> both(2, generation(40, false));
  for (Wish& wish : both) wish.headers.emplace_back("idempotency-key", "at once");
  std::multiset<int> statuses;
  for (const Answer& answer : house.ask_all(std::move(both))) statuses.insert(answer.status);
  EXPECT_EQ(statuses, (std::multiset<int>{200, 409}));
  // The answer is gone with the process, the bill is not: nothing is made a second time.
  ASSERT_TRUE(house.restart()) << house.log();
  const Answer late = ask_with("a whole answer", generation(8, false));
  EXPECT_EQ(late.status, 409) << late.body;
  EXPECT_NE(late.body.find("idempotency_finished"), std::string::npos) << late.body;
  EXPECT_EQ(ledger_rows(house).size(), 3U);
}

TEST_F(Billing, ARestartDoesNotFillABudgetAgain) {
  HouseSetup setup = priced();
  // A second costs 1,000 CNY, so that the most a request may cost in its 10 minutes is all of the budget but a tenth of
  // a second; the first takes more than that.
  setup.config = "[[instance]]\nname = \"local\"\nhour = \"3600000\"\ncurrency = \"CNY\"\n";
  RunningHouse house(setup);
  ASSERT_TRUE(house.is_up()) << house.log();
  const auto [code, key] =
      house.run_cli({"keys", "create", "--name", "app", "--scope", "inference", "--budget", "600100CNY/month"});
  ASSERT_EQ(code, 0) << key;
  const auto ask_with_key = [&house, text = key.substr(0, key.find('\n'))] {
    Wish wish = generation(120, false);  // 0.3 s
    wish.headers.emplace_back("authorization", "Bearer " + text);
    return house.ask(std::move(wish));
  };
  const Answer first = ask_with_key();
  ASSERT_EQ(first.status, 200) << first.body << key;
  for (const bool after_restart : {false, true}) {
    if (after_restart) {
      ASSERT_TRUE(house.restart()) << house.log();
    }
    const Answer refused = ask_with_key();
    EXPECT_EQ(refused.status, 429) << refused.body;
    EXPECT_NE(refused.body.find("insufficient_quota"), std::string::npos) << refused.body;
    EXPECT_EQ(refused.headers.find("x-should-retry").value_or("-"), "false");
    const std::string listed = house.run_cli({"keys", "list"}).second;
    EXPECT_NE(listed.find("600100CNY/month (¥"), std::string::npos) << listed;
    EXPECT_EQ(listed.find("(¥0.00 used)"), std::string::npos) << listed;
  }
}

TEST_F(Billing, TheGatewayKilledAtRandomMomentsLosesAndDoublesNothing) {
  RunningHouse house(priced());
  ASSERT_TRUE(house.is_up()) << house.log();
  const std::int64_t rounds = environment_number("DORMOUSE_CHAOS_ROUNDS", 12);
  for (std::int64_t round = 0; round < rounds && !HasFailure(); ++round) {
    std::vector<Wish> wishes = load(12);
    std::int64_t pieces = between(1, 300);
    for (Wish& wish : wishes) {
      wish.on_piece = [&house, &pieces](const std::string&) {
        if (--pieces == 0) house.signal(SIGKILL);
        return true;
      };
    }
    const std::vector<Received> all = ask(house, std::move(wishes));
    ASSERT_TRUE(house.restart(SIGKILL)) << house.log();
    check_bill(house, all, "seed " + std::to_string(seed_) + " round " + std::to_string(round));
  }
}

TEST_F(Billing, TheWorkerKilledAtRandomMomentsLosesAndDoublesNothing) {
  RunningHouse house(priced());
  ASSERT_TRUE(house.is_up()) << house.log();
  const std::int64_t rounds = environment_number("DORMOUSE_CHAOS_ROUNDS", 12);
  for (std::int64_t round = 0; round < rounds && !HasFailure(); ++round) {
    ASSERT_EQ(house.post("/admin/v1/deployments/demo/wake", "").status, 200) << house.log();
    const gateway::DeploymentView demo = house.deployment("demo");
    ASSERT_FALSE(demo.instances.empty());
    const auto worker = static_cast<pid_t>(demo.instances.front().pid);
    ASSERT_GT(worker, 0);
    std::vector<Wish> wishes = load(12);
    std::int64_t pieces = between(1, 300);
    for (Wish& wish : wishes) {
      wish.on_piece = [worker, &pieces](const std::string&) {
        if (--pieces == 0) ::kill(worker, SIGKILL);
        return true;
      };
    }
    const std::vector<Received> all = ask(house, std::move(wishes));
    check_bill(house, all, "seed " + std::to_string(seed_) + " round " + std::to_string(round));
  }
}

// Every point the way of a request passes; those of migration, refund and recovery have tests beside the ledger.
constexpr std::array<const char*, 30> kPoints = {"gateway.reserving",     "gateway.placed",
                                                 "gateway.dispatched",    "gateway.before_first_byte",
                                                 "gateway.after_write",   "gateway.checkpointing",
                                                 "gateway.attempted",     "gateway.before_settle",
                                                 "gateway.after_settle",  "gateway.before_closing",
                                                 "gateway.after_closing", "gateway.after_close",
                                                 "gateway.failing",       "fleet.intent",
                                                 "fleet.starting",        "fleet.granting",
                                                 "fleet.released",        "ledger.mid_span",
                                                 "ledger.before_reserve", "ledger.mid_reserve",
                                                 "ledger.after_reserve",  "ledger.before_checkpoint",
                                                 "ledger.before_settle",  "ledger.mid_settle",
                                                 "ledger.after_rollup",   "ledger.after_settle",
                                                 "ledger.before_closing", "ledger.after_closing",
                                                 "ledger.before_commit",  "ledger.after_commit"};

TEST_F(Billing, KilledAtEveryNamedPointNothingIsLostOrDoubled) {
  RunningHouse house(priced());
  ASSERT_TRUE(house.is_up()) << house.log();
  const std::int64_t passes = environment_number("DORMOUSE_CHAOS_ROUNDS", 30) / 30;
  int died = 0;
  for (std::int64_t pass = 0; pass < std::max<std::int64_t>(1, passes); ++pass) {
    for (const char* const point : kPoints) {
      // One instance is started in a round: of the fleet the first pass, of the others the first or the second.
      const std::int64_t pass_number = std::string_view(point).starts_with("fleet.") ? 1 : between(1, 2);
      house.set_environment({std::string("DORMOUSE_CRASHPOINT=") + point + ":" + std::to_string(pass_number)});
      if (!house.restart(SIGTERM)) {  // a start commits, too
        ASSERT_TRUE(house.wait_exit(milliseconds(0)).has_value()) << point << house.log();
        ++died;
        house.set_environment({});
        ASSERT_TRUE(house.restart(SIGKILL)) << point << house.log();
        continue;
      }
      std::vector<Wish> wishes = load(8);
      for (std::size_t i = 0; i < 2; ++i) {  // who leaves in the middle fails
        wishes[i] = generation(100, true);
        wishes[i].on_piece = [](const std::string& piece) { return piece.find("w9") == std::string::npos; };
      }
      for (std::size_t i = 2; i < 4; ++i) wishes[i] = generation(200, true);  // long enough for checkpoints
      std::vector<Received> all = ask(house, std::move(wishes));
      all[0].tokens = 400;  // more may have been delivered than it read
      all[1].tokens = 400;
      // Callers have their answers before the ledger has the last closings, on a busy machine seconds before.
      const bool is_dead = house.wait_exit(milliseconds(20'000)).has_value();
      EXPECT_TRUE(is_dead) << point << " was not reached";
      died += is_dead ? 1 : 0;
      house.set_environment({});
      ASSERT_TRUE(house.restart(SIGKILL)) << point << house.log();
      const std::map<std::string, ledger::RequestRow> rows = ledger_rows(house);
      for (const auto& [id, row] : rows) EXPECT_TRUE(row.settled) << point << ": left open: " << id;
      all.erase(all.begin(), all.begin() + 2);
      check_bill(house, all, std::string(point) + " seed " + std::to_string(seed_));
    }
  }
  EXPECT_EQ(died, 30 * std::max<std::int64_t>(1, passes));
}

TEST_F(Billing, CallersThatLeaveAtRandomBytesAreCountedAsTheEngineCounts) {
  RunningHouse house(priced());
  ASSERT_TRUE(house.is_up()) << house.log();
  const std::int64_t rounds = environment_number("DORMOUSE_CHAOS_ROUNDS", 12);
  constexpr int kAtOnce = 20;
  for (std::int64_t round = 0; round < rounds; ++round) {
    std::vector<Wish> wishes;
    for (int i = 0; i < kAtOnce; ++i) {
      wishes.push_back(generation(400, true));
      std::int64_t left = between(1, 4'000);
      wishes.back().on_piece = [left](const std::string& piece) mutable {
        left -= static_cast<std::int64_t>(piece.size());
        return left > 0;
      };
    }
    house.ask_all(std::move(wishes));
  }
  std::map<std::string, ledger::RequestRow> rows;
  ASSERT_TRUE(house.eventually(milliseconds(10'000), [&] {
    rows = ledger_rows(house);
    return std::all_of(rows.begin(), rows.end(), [](const auto& entry) { return entry.second.settled; });
  }));
  std::int64_t produced = 0;
  std::int64_t billed = 0;
  EXPECT_EQ(rows.size(), static_cast<std::size_t>(rounds * kAtOnce));
  for (const auto& [id, row] : rows) {
    EXPECT_LE(row.settlement.output_tokens, row.settlement.produced_tokens) << id;
    produced += row.settlement.produced_tokens;
    billed += row.settlement.output_tokens;
  }
  // The engine's own counter, which it reports every 200 ms.
  const auto engine_count = [&house] {
    const gateway::DeploymentView demo = house.deployment("demo");
    return demo.instances.empty() ? -1 : demo.instances.front().generated_tokens;
  };
  EXPECT_TRUE(house.eventually(milliseconds(5'000), [&] { return engine_count() == produced; }))
      << "engine " << engine_count() << ", ledger " << produced;
  EXPECT_LE(billed, produced);
  EXPECT_EQ(house.log().find("end_not_told"), std::string::npos);
}

}  // namespace
}  // namespace dormouse::e2e
