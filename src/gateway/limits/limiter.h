// Who may go on and who must wait: requests and tokens a minute, requests at once, and a budget, of a key and of a
// deployment, each in an account of its own. No I/O. Threads: one, the loop's. Outlives its Admissions.
// Invariants:
//  1. A request passes when all of its limits have room, and takes from all of them in one step: no number of attempts
//     at once gets more than the limit through.
//  2. A refused request takes nothing: what it had already been given is given back.
//  3. What a request took is given back exactly once: tokens and money it did not use at settle() or, without that, all
//     of them when its Admission ends; its place among the concurrent ones when the Admission ends. The request itself
//     stays counted.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/money.h"
#include "gateway/caller.h"
#include "gateway/limits/bucket.h"
#include "gateway/limits/budget.h"

namespace dormouse::gateway {

enum class Holder { kKey, kDeployment };
inline constexpr std::array kHolders{Holder::kKey, Holder::kDeployment};

enum class LimitKind { kRequests, kTokens, kConcurrency, kBudget };

// Why a request was not let in.
struct LimitRefusal {
  enum class Cure {
    kWait,  // `wait` long
    kAsk,   // for less: `most` is what could be had
    kNone,  // not before the budget's next period, or a larger budget
  };
  Holder holder = Holder::kKey;
  LimitKind limit = LimitKind::kRequests;
  Cure cure = Cure::kWait;
  Nanoseconds wait{0};
  std::int64_t bound = 0;  // the limit
  std::int64_t most = 0;   // tokens of an answer; 0: the prompt alone is too much
};

// What a request may come to.
struct TokenWish {
  std::int64_t prompt = 0;     // at most
  std::int64_t answer = 0;     // of one choice
  bool answer_is_said = true;  // by the caller; else it may be made less, and the worker is told to stop there
  std::int64_t choices = 1;
  Nanoseconds longest{0};  // after which the request is ended
};

// What a client is told of a limit in x-ratelimit-*: of its key or its deployment, whichever has less left.
struct RateView {
  std::int64_t limit = 0;
  std::int64_t remaining = 0;
  Nanoseconds reset{0};  // until it is full again
};

// What one request holds. Lives in its frame.
class Limiter;
class Admission {
 public:
  Admission() = default;
  ~Admission();
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  // At the end of the answer: what it really took, as the bill has it. The first call counts.
  void settle(std::int64_t tokens, std::int64_t cost_micros);
  // nullopt: neither holder has such a limit.
  [[nodiscard]] std::optional<RateView> requests() const;
  [[nodiscard]] std::optional<RateView> tokens() const;

 private:
  friend class Limiter;
  struct Account;
  struct Share {
    Account* account = nullptr;  // the limiter's, which keeps it while somebody shares it; null: no limits
    bool has_place = false;      // counts as a request, and as one of those at once
    std::int64_t tokens = 0;
    std::int64_t money_micros = 0;
  };
  [[nodiscard]] std::optional<RateView> tightest(Bucket Account::*bucket) const;
  void leave();

  Limiter* limiter_ = nullptr;  // null: nothing limits this request
  std::array<Share, kHolders.size()> shares_;
};

// For the admin API: how an account stands.
struct AccountView {
  KeyLimits limits;
  std::int64_t requests_left = 0;
  std::int64_t tokens_left = 0;
  std::int64_t running = 0;
  std::int64_t spent_micros = 0;
  std::int64_t reserved_micros = 0;
  std::int64_t unpriced_requests = 0;  // since the start: had no price in the budget's currency, so they count nothing
};

// How much of a budget is used up, in whole per cent.
struct BudgetUse {
  Holder holder = Holder::kKey;
  std::string name;
  int percent = 0;
};

// An account's buckets as limits.state keeps them.
struct BucketState {
  Holder holder = Holder::kKey;
  std::string name;
  std::int64_t requests_per_minute = 0;
  std::int64_t requests_missing = 0;
  std::int64_t tokens_per_minute = 0;
  std::int64_t tokens_missing = 0;
};

struct LimiterOptions {
  // The most that such a request to this deployment can cost; nullopt: it has no price. Null function: nothing has.
  std::function<std::optional<Money>(const std::string& deployment, const TokenWish& wish)> most_it_can_cost;
  // Seconds east of UTC of the zone of the reports, at that moment. Null: UTC.
  std::function<std::int64_t(WallTime)> utc_offset_s;
};

class Limiter {
 public:
  Limiter(const Clock& clock, LimiterOptions options);
  ~Limiter();
  Limiter(const Limiter&) = delete;
  Limiter& operator=(const Limiter&) = delete;

  // First step, for which the request's body is not needed: takes one request and one place of this key.
  [[nodiscard]] std::optional<LimitRefusal> begin(Admission& admission, const std::string& key_id,
                                                  const KeyLimits& limits);
  // Second step: the same of the deployment, and tokens and money of both. Where the caller said nothing, wish.answer
  // becomes what there is room for now, if that is enough for an answer (4,096 tokens, or half of what the smaller of
  // the two limits leaves beside the prompt); a fixed bound would make each such request take a small limit whole.
  [[nodiscard]] std::optional<LimitRefusal> reserve(Admission& admission, const std::string& deployment,
                                                    const KeyLimits& limits, TokenWish& wish);
  // Takes nothing: for the headers of an answer that costs nothing.
  void look(Admission& admission, const std::string& key_id, const KeyLimits& limits);

  // What a holder spent before this start, in the period that now runs.
  void add_spent(Holder holder, const std::string& name, BudgetPeriod period, std::int64_t micros);
  // nullopt: nothing is known of it.
  [[nodiscard]] std::optional<AccountView> view(Holder holder, const std::string& name);

  // Of accounts with a budget that something was spent of.
  [[nodiscard]] std::vector<BudgetUse> budgets();

  // Of accounts that are not full.
  [[nodiscard]] std::vector<BucketState> state() const;
  // As it was `elapsed` ago.
  void restore(const std::vector<BucketState>& states, Nanoseconds elapsed);
  // Forgets accounts that have nothing to remember. Called now and then.
  void forget_idle();
  [[nodiscard]] std::size_t account_count() const;

 private:
  friend class Admission;
  using Account = Admission::Account;
  using Share = Admission::Share;
  using Accounts = std::unordered_map<std::string, std::unique_ptr<Account>>;

  Accounts& accounts_of(Holder holder) { return accounts_[static_cast<std::size_t>(holder)]; }
  Account& account_of(Holder holder, const std::string& name);
  Share* join(Admission& admission, Holder holder, const std::string& name, const KeyLimits& limits);
  void enter_period(Account& account);
  std::optional<LimitRefusal> take_place(Share& share, Holder holder);
  std::optional<LimitRefusal> take_tokens(Admission& admission, TokenWish& wish);
  std::optional<LimitRefusal> take_money(Admission& admission, const std::string& deployment, const TokenWish& wish);
  static void give_all_back(Admission& admission, MonoTime now);

  const Clock& clock_;
  const LimiterOptions options_;
  std::array<Accounts, kHolders.size()> accounts_;
  std::int64_t offset_minute_ = -1;  // for which offset_s_ was asked: zones change by whole minutes
  std::int64_t offset_s_ = 0;
};

}  // namespace dormouse::gateway
