// Goal: the scheduler's four invariants and its order of service. Method: small tables of events with the plan they
// must give, and random walks judged by an independent model (scheduler_walk_test.h). Seeds are printed; DORMOUSE_SEED
// sets one.
#include "sched/scheduler.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "sched/scheduler_walk_test.h"

namespace dormouse::sched {
namespace {

SchedulerOptions small_options() {
  return {.max_sequences = 4,
          .max_batch_tokens = 64,
          .max_logits_rows = 16,
          .kv_pages = 8,
          .max_waiting = 6,
          .max_waiting_tokens = 1000};
}

SequenceRequest request(SequenceId id, int prompt_tokens, int max_new_tokens, std::string tenant = "a") {
  SequenceRequest out;
  out.id = id;
  out.tenant = std::move(tenant);
  out.prompt.assign(static_cast<std::size_t>(prompt_tokens), 5);
  out.max_new_tokens = max_new_tokens;
  return out;
}

// One whole cycle; every sequence that gets logits appends a token. Returns (id, rows) in plan order.
std::vector<std::pair<SequenceId, int>> cycle(Scheduler& scheduler, const PlanLimits& limits = {}) {
  std::vector<std::pair<SequenceId, int>> rows;
  std::vector<SequenceId> ready;
  for (const PlanEntry& entry : scheduler.plan(limits).entries) {
    rows.emplace_back(entry.sequence, static_cast<int>(entry.tokens.size()));
    if (entry.wants_logits) ready.push_back(entry.sequence);
  }
  scheduler.commit();
  for (const SequenceId id : ready) scheduler.append(id, 6);
  return rows;
}
using Rows = std::vector<std::pair<SequenceId, int>>;

TEST(Scheduler, ADecodeIsInEveryPlanWhileALongPromptIsPrefilledInChunks) {
  Scheduler scheduler(small_options());
  ASSERT_TRUE(scheduler.submit(request(1, 3, 20)).has_value());
  EXPECT_EQ(cycle(scheduler), (Rows{{1, 3}}));
  ASSERT_TRUE(scheduler.submit(request(2, 150, 20)).has_value());
  EXPECT_EQ(cycle(scheduler), (Rows{{1, 1}, {2, 63}}));
  EXPECT_EQ(cycle(scheduler), (Rows{{1, 1}, {2, 63}}));
  EXPECT_EQ(cycle(scheduler), (Rows{{1, 1}, {2, 24}}));
  EXPECT_EQ(cycle(scheduler), (Rows{{1, 1}, {2, 1}}));
}

TEST(Scheduler, BesideDecodesAPromptGetsTheRowsItIsGivenAndAloneTheWholeStep) {
  Scheduler scheduler(small_options());
  ASSERT_TRUE(scheduler.submit(request(1, 3, 20)).has_value());
  EXPECT_EQ(cycle(scheduler, {.prompt_rows_beside_decodes = 40}), (Rows{{1, 3}}));
  ASSERT_TRUE(scheduler.submit(request(2, 200, 20, "b")).has_value());
  EXPECT_EQ(cycle(scheduler, {.prompt_rows_beside_decodes = 40}), (Rows{{1, 1}, {2, 40}}));
  EXPECT_EQ(cycle(scheduler, {.prompt_rows_beside_decodes = 1}), (Rows{{1, 1}, {2, 32}})) << "never less than a chunk";
  EXPECT_EQ(cycle(scheduler, {.prompt_rows_beside_decodes = 1000}), (Rows{{1, 1}, {2, 63}})) << "the hard cap stays";
  scheduler.end(1);
  EXPECT_EQ(cycle(scheduler, {.prompt_rows_beside_decodes = 40}), (Rows{{2, 64}}));
}

TEST(Scheduler, AShortPromptIsNotKeptWaitingByALongOne) {
  Scheduler scheduler(small_options());
  ASSERT_TRUE(scheduler.submit(request(1, 150, 20, "a")).has_value());
  ASSERT_TRUE(scheduler.submit(request(2, 10, 20, "b")).has_value());
  // The short one costs its tenant less and is admitted first; what it does not need of the step goes to the long one.
  EXPECT_EQ(cycle(scheduler), (Rows{{2, 10}, {1, 54}}));
}

TEST(Scheduler, TwoPromptsOfOneTenantShareAStep) {
  Scheduler scheduler(small_options());
  ASSERT_TRUE(scheduler.submit(request(1, 150, 20)).has_value());
  ASSERT_TRUE(scheduler.submit(request(2, 10, 20)).has_value());
  EXPECT_EQ(cycle(scheduler), (Rows{{1, 54}, {2, 10}}));
}

TEST(Scheduler, OneFloodingTenantDelaysAnotherByATurnOnly) {
  SchedulerOptions options = small_options();
  options.max_sequences = 1;
  Scheduler scheduler(options);
  for (SequenceId id = 1; id <= 5; ++id) ASSERT_TRUE(scheduler.submit(request(id, 60, 1, "flood")).has_value());
  ASSERT_TRUE(scheduler.submit(request(9, 60, 1, "quiet")).has_value());
  std::vector<SequenceId> order;
  while (!scheduler.idle()) {
    const SequenceId id = scheduler.plan().entries.at(0).sequence;
    scheduler.commit();
    order.push_back(id);
    scheduler.end(id);
  }
  ASSERT_EQ(order.size(), 6U);
  EXPECT_TRUE(order[0] == 9 || order[1] == 9) << "the quiet tenant came " << order[2];
}

TEST(Scheduler, WithoutAFreePageTheNewestYieldsAndIsComputedAgain) {
  SchedulerOptions options = small_options();  // 8 pages of 32
  options.share_prefixes = false;
  Scheduler scheduler(options);
  ASSERT_TRUE(scheduler.submit(request(1, 60, 180)).has_value());
  cycle(scheduler);
  ASSERT_TRUE(scheduler.submit(request(2, 60, 180)).has_value());
  cycle(scheduler);
  while (scheduler.preemptions() == 0) cycle(scheduler);
  EXPECT_TRUE(scheduler.is_running(1));
  EXPECT_FALSE(scheduler.is_running(2));
  const auto tokens_then = scheduler.tokens(2).size();
  EXPECT_GT(tokens_then, 60U) << "what it had generated is kept";
  scheduler.end(1);
  const BatchPlan& plan = scheduler.plan();
  ASSERT_EQ(plan.entries.size(), 1U);
  EXPECT_EQ(plan.entries[0].start_position, 0);
  EXPECT_EQ(plan.entries[0].prompt_length, 60) << "what it had generated is computed as generated again";
  EXPECT_EQ(plan.entries[0].tokens.size(), std::min<std::size_t>(tokens_then, 64));
  scheduler.commit();
  scheduler.end(2);
  EXPECT_EQ(scheduler.free_pages(), 8);
}

TEST(Scheduler, EndFreesThePagesAtOnce) {
  Scheduler scheduler(small_options());
  ASSERT_TRUE(scheduler.submit(request(1, 100, 20)).has_value());
  cycle(scheduler);
  EXPECT_LT(scheduler.free_pages(), 8);
  EXPECT_TRUE(scheduler.end(1));
  EXPECT_EQ(scheduler.free_pages(), 8);
  EXPECT_FALSE(scheduler.end(1));
  EXPECT_TRUE(scheduler.idle());
}

TEST(Scheduler, RefusalsAreTyped) {
  Scheduler scheduler(small_options());
  EXPECT_EQ(scheduler.submit(request(1, 0, 5)).error().code, Code::kInvalidArgument);
  EXPECT_EQ(scheduler.submit(request(1, 200, 57)).error().code, Code::kInvalidArgument);  // 257 tokens, room for 256
  EXPECT_TRUE(scheduler.submit(request(1, 200, 56)).has_value());
  EXPECT_EQ(scheduler.submit(request(1, 1, 1)).error().code, Code::kAlreadyExists);
  for (SequenceId id = 2; id <= 6; ++id) ASSERT_TRUE(scheduler.submit(request(id, 10, 1)).has_value());
  EXPECT_EQ(scheduler.submit(request(7, 1, 1)).error().code, Code::kOverloaded);  // 6 wait
}

TEST(Scheduler, TheWaitingQueueIsBoundedByTokensToo) {
  SchedulerOptions options = small_options();
  options.kv_pages = 100;
  Scheduler scheduler(options);
  ASSERT_TRUE(scheduler.submit(request(1, 900, 1)).has_value());
  EXPECT_EQ(scheduler.submit(request(2, 101, 1)).error().code, Code::kOverloaded);
  EXPECT_TRUE(scheduler.submit(request(3, 100, 1)).has_value());
}

TEST(Scheduler, GoldenRowsRideWholeInTheFirstBatchBeforeTheRequest) {
  Scheduler scheduler(small_options());
  ASSERT_TRUE(scheduler.submit(request(1, 150, 5)).has_value());
  SequenceRequest golden = request(99, 8, 0, "");
  golden.wants_all_logits = true;
  golden.urgent = true;
  ASSERT_TRUE(scheduler.submit(std::move(golden)).has_value());
  const BatchPlan& plan = scheduler.plan();
  ASSERT_EQ(plan.entries.size(), 2U);
  EXPECT_EQ(plan.entries[0].sequence, 99U);
  EXPECT_EQ(plan.entries[0].tokens.size(), 8U);
  EXPECT_TRUE(plan.entries[0].wants_all_logits);
  EXPECT_EQ(plan.logits_count, 8);
  EXPECT_EQ(plan.entries[1].tokens.size(), 56U);
  scheduler.commit();
}

TEST(Scheduler, AStepThatFailedIsPlannedAgain) {
  Scheduler scheduler(small_options());
  ASSERT_TRUE(scheduler.submit(request(1, 40, 5)).has_value());
  EXPECT_EQ(scheduler.plan().entries.at(0).start_position, 0);
  scheduler.abandon();
  EXPECT_EQ(scheduler.plan().entries.at(0).start_position, 0);
  scheduler.commit();
}

// Prompts of 1, 2, 3 ...: alike as far as both go.
SequenceRequest counting(SequenceId id, int prompt_tokens, int max_new_tokens, std::string tenant = "a") {
  SequenceRequest out = request(id, prompt_tokens, max_new_tokens, std::move(tenant));
  for (std::size_t i = 0; i < out.prompt.size(); ++i) out.prompt[i] = static_cast<TokenId>(i + 1);
  return out;
}

TEST(SchedulerPrefix, FullPagesOfAPromptAreComputedOnceAndTheLastTokenAlways) {
  Scheduler scheduler(small_options());
  ASSERT_TRUE(scheduler.submit(counting(1, 64, 1)).has_value());
  EXPECT_EQ(cycle(scheduler), (Rows{{1, 64}}));
  scheduler.end(1);
  EXPECT_EQ(scheduler.free_pages(), 8);
  EXPECT_EQ(scheduler.idle_pages(), 2);
  ASSERT_TRUE(scheduler.submit(counting(2, 64, 1)).has_value());
  EXPECT_EQ(cycle(scheduler), (Rows{{2, 32}})) << "the second page holds the row whose logits are wanted";
  EXPECT_EQ(scheduler.cached_tokens(2), 32);
  scheduler.end(2);
  ASSERT_TRUE(scheduler.submit(counting(3, 70, 1)).has_value());
  EXPECT_EQ(cycle(scheduler), (Rows{{3, 6}}));
  scheduler.end(3);
  EXPECT_EQ(scheduler.prefix_queries(), 64U + 64 + 70);
  EXPECT_EQ(scheduler.prefix_hits(), 32U + 64);
  EXPECT_EQ(scheduler.idle_pages(), 2);
}

TEST(SchedulerPrefix, AnotherTenantAndOneWhoWantsAllLogitsComputeEverything) {
  Scheduler scheduler(small_options());
  ASSERT_TRUE(scheduler.submit(counting(1, 40, 1)).has_value());
  cycle(scheduler);
  scheduler.end(1);
  ASSERT_TRUE(scheduler.submit(counting(2, 40, 1, "b")).has_value());
  EXPECT_EQ(cycle(scheduler), (Rows{{2, 40}}));
  scheduler.end(2);
  SequenceRequest all = counting(3, 40, 1);
  all.wants_all_logits = true;
  ASSERT_TRUE(scheduler.submit(std::move(all)).has_value());
  EXPECT_EQ(cycle(scheduler).at(0).first, 3U);
  EXPECT_EQ(scheduler.cached_tokens(3), 0);
}

TEST(SchedulerPrefix, AGeneratedTokenIsNeverShared) {
  Scheduler scheduler(small_options());
  ASSERT_TRUE(scheduler.submit(request(1, 40, 60)).has_value());
  for (int i = 0; i < 50; ++i) cycle(scheduler);
  const std::span<const TokenId> tokens = scheduler.tokens(1);
  SequenceRequest next = request(2, 0, 1);  // as a chat goes on: the whole of before, and more
  next.prompt.assign(tokens.begin(), tokens.end());
  ASSERT_EQ(next.prompt.size(), 90U);
  scheduler.end(1);
  ASSERT_TRUE(scheduler.submit(std::move(next)).has_value());
  EXPECT_EQ(cycle(scheduler), (Rows{{2, 58}})) << "32 of the 40 prompt tokens";
}

TEST(SchedulerPrefix, WhoBeginsAlikeWaitsForTheOldestAndTakesItsPages) {
  Scheduler scheduler(small_options());
  for (SequenceId id = 1; id <= 3; ++id) ASSERT_TRUE(scheduler.submit(counting(id, 70, 5)).has_value());
  // Admission wants room for a chunk of each, so the third comes a step later.
  EXPECT_EQ(cycle(scheduler), (Rows{{1, 64}}));
  EXPECT_EQ(cycle(scheduler), (Rows{{1, 6}, {2, 6}}));
  EXPECT_EQ(cycle(scheduler), (Rows{{1, 1}, {2, 1}, {3, 6}}));
  EXPECT_EQ(scheduler.cached_tokens(1), 0);
  EXPECT_EQ(scheduler.cached_tokens(2), 64);
  EXPECT_EQ(scheduler.cached_tokens(3), 64);
  EXPECT_EQ(scheduler.free_pages(), 8 - 2 - 3) << "two pages in common, one of each";
  // Whoever computes first may leave; the others go on.
  scheduler.end(1);
  EXPECT_EQ(cycle(scheduler), (Rows{{2, 1}, {3, 1}}));
}

TEST(SchedulerPrefix, WhoWaitsGoesOnWhenTheOldestLeaves) {
  Scheduler scheduler(small_options());
  ASSERT_TRUE(scheduler.submit(counting(1, 150, 5)).has_value());
  ASSERT_TRUE(scheduler.submit(counting(2, 150, 5)).has_value());
  EXPECT_EQ(cycle(scheduler), (Rows{{1, 64}}));
  scheduler.end(1);
  EXPECT_EQ(cycle(scheduler), (Rows{{2, 64}}));
  EXPECT_EQ(scheduler.cached_tokens(2), 64);
}

// A text that says 1 2 3 4 over and over: every guess after the first four tokens is right.
TEST(SchedulerDrafts, RightGuessesComeWithTheStepAndAWrongOneEndsThem) {
  SchedulerOptions options = small_options();
  options.speculation = Speculation::kNgram;
  Scheduler scheduler(options);
  SequenceRequest asked = request(2, 0, 40);
  asked.prompt = {1, 2, 3, 4, 1};
  ASSERT_TRUE(scheduler.submit(std::move(asked)).has_value());
  EXPECT_EQ(scheduler.plan().token_count, 5) << "none beside a prompt's rows";
  scheduler.commit();
  EXPECT_FALSE(scheduler.append(2, 2));
  const BatchPlan& plan = scheduler.plan();
  const PlanEntry entry = plan.entries.at(0);
  EXPECT_EQ(std::vector<TokenId>(entry.tokens.begin(), entry.tokens.end()),
            (std::vector<TokenId>{2, 3, 4, 1, 2, 3, 4, 1}));
  EXPECT_EQ(entry.draft_count, 7);
  EXPECT_TRUE(entry.wants_logits && entry.wants_all_logits);
  EXPECT_EQ(plan.logits_count, 8);
  scheduler.commit();
  EXPECT_TRUE(scheduler.append(2, 3));
  EXPECT_TRUE(scheduler.append(2, 4));
  EXPECT_FALSE(scheduler.append(2, 9)) << "the rows after it are void";
  EXPECT_EQ(scheduler.tokens(2).size(), 9U);
  EXPECT_EQ(scheduler.draft_tokens(), 7U);
  EXPECT_EQ(scheduler.accepted_tokens(), 2U);
  EXPECT_EQ(scheduler.plan().entries.at(0).start_position, 8);
  EXPECT_EQ(plan.logits_count, 1) << "9 never came before";
  scheduler.abandon();
}

// Guesses in the plan after the first token of `sequences` prompts of one token over and over.
std::int32_t drafts_of(SequenceId sequences, std::int32_t max_new_tokens) {
  SchedulerOptions options = small_options();
  options.speculation = Speculation::kNgram;
  options.max_sequences = 10;
  options.max_batch_tokens = 512;
  options.max_logits_rows = 40;
  options.kv_pages = 40;
  options.max_waiting = 10;
  Scheduler scheduler(options);
  for (SequenceId id = 1; id <= sequences; ++id) {
    EXPECT_TRUE(scheduler.submit(request(id, 40, max_new_tokens, std::to_string(id))).has_value());
  }
  EXPECT_EQ(scheduler.plan().entries.size(), sequences);
  scheduler.commit();
  for (SequenceId id = 1; id <= sequences; ++id) EXPECT_FALSE(scheduler.append(id, 5));
  std::int32_t count = 0;
  for (const PlanEntry& entry : scheduler.plan().entries) count += entry.draft_count;
  scheduler.abandon();
  return count;
}

TEST(SchedulerDrafts, AStepThatFailedTeachesNothing) {
  SchedulerOptions options = small_options();
  options.speculation = Speculation::kAuto;
  Scheduler scheduler(options);
  ASSERT_TRUE(scheduler.submit(request(1, 40, 100)).has_value());
  EXPECT_EQ(scheduler.plan().token_count, 40);
  scheduler.commit();
  scheduler.append(1, 5);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(scheduler.plan().entries.at(0).draft_count, 3) << "the first guess's length";
    scheduler.abandon();
    EXPECT_EQ(scheduler.tokens(1).size(), 41U);
  }
  EXPECT_EQ(scheduler.draft_tokens(), 0U);
}

TEST(SchedulerDrafts, RowsAreSharedWhileTheyAreCheapAndNoneIsPastTheLastToken) {
  EXPECT_EQ(drafts_of(1, 20), 7);
  EXPECT_EQ(drafts_of(2, 20), 6);
  EXPECT_EQ(drafts_of(3, 20), 3);
  EXPECT_EQ(drafts_of(4, 20), 4);
  EXPECT_EQ(drafts_of(5, 20), 0);
  EXPECT_EQ(drafts_of(9, 20), 0);
  EXPECT_EQ(drafts_of(1, 3), 1) << "the second token is decided in the next token's row, the third in the guess's";
  EXPECT_EQ(drafts_of(1, 2), 0);
}

std::uint64_t seed_from_environment() {
  if (const char* text = std::getenv("DORMOUSE_SEED"); text != nullptr) return std::strtoull(text, nullptr, 10);
  return std::random_device{}();
}

TEST(Scheduler, RandomWalksKeepEveryInvariant) {
  const std::uint64_t seed = seed_from_environment();
  std::mt19937_64 random(seed);
  std::int64_t accepted = 0;
  std::int64_t refused = 0;
  std::uint64_t preemptions = 0;
  std::uint64_t hits = 0;
  std::uint64_t drafted = 0;
  std::uint64_t right = 0;
  for (int walk_index = 0; walk_index < 300; ++walk_index) {
    SchedulerOptions options;
    options.max_sequences = static_cast<std::int32_t>(1 + random() % 12);
    options.max_batch_tokens = static_cast<std::int32_t>(options.max_sequences + random() % 200);
    options.max_logits_rows = static_cast<std::int32_t>(options.max_sequences + 1 + random() % 20);
    options.kv_pages = static_cast<std::int32_t>(4 + random() % 60);
    options.max_waiting = static_cast<std::int64_t>(1 + random() % 40);
    options.max_waiting_tokens = 20'000;
    options.share_prefixes = random() % 8 != 0;
    options.speculation = static_cast<Speculation>(random() % 3);
    if (random() % 4 == 0) options.max_idle_pages = static_cast<std::int32_t>(random() % 8);
    std::vector<std::uint8_t> bytes(2000);
    for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(random());
    SchedulerWalk walk(options);
    ASSERT_EQ(walk.run(bytes), "") << "DORMOUSE_SEED=" << seed << " walk " << walk_index;
    accepted += walk.accepted();
    refused += walk.refused();
    preemptions += walk.preemptions();
    hits += walk.prefix_hits();
    drafted += walk.draft_tokens();
    right += walk.accepted_tokens();
  }
  std::printf("seed %llu: %lld accepted, %lld refused, %llu preemptions, %llu tokens found, %llu of %llu guessed\n",
              static_cast<unsigned long long>(seed), static_cast<long long>(accepted),
              static_cast<long long>(refused), static_cast<unsigned long long>(preemptions),
              static_cast<unsigned long long>(hits), static_cast<unsigned long long>(right),
              static_cast<unsigned long long>(drafted));
  // The walk must have gone where the invariants are hard.
  EXPECT_GT(accepted, 10'000);
  EXPECT_GT(refused, 100);
  EXPECT_GT(preemptions, 100U);
  EXPECT_GT(hits, 100'000U);
  EXPECT_GT(right, 10'000U);
  EXPECT_GT(drafted - right, 10'000U);
}

}  // namespace
}  // namespace dormouse::sched
