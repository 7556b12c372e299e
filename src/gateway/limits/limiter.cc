#include "gateway/limits/limiter.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace dormouse::gateway {
namespace {

// What waits for another request to end cannot know when. With its jitter this is still told as one second.
constexpr std::chrono::milliseconds kUntilOneEnds{800};
// Of an answer whose length nobody gave: less than this is not begun while waiting gives more.
constexpr std::int64_t kLeastAnswer = 4'096;

LimitRefusal refusal(Holder holder, LimitKind limit, LimitRefusal::Cure cure, std::int64_t bound) {
  LimitRefusal out;
  out.holder = holder;
  out.limit = limit;
  out.cure = cure;
  out.bound = bound;
  return out;
}

LimitRefusal wait(Holder holder, LimitKind limit, std::int64_t bound, Nanoseconds wait) {
  LimitRefusal out = refusal(holder, limit, LimitRefusal::Cure::kWait, bound);
  out.wait = wait;
  return out;
}

bool is_unlimited(const KeyLimits& limits) {
  return limits.requests_per_minute <= 0 && limits.tokens_per_minute <= 0 && limits.concurrency <= 0 &&
         limits.budget_micros <= 0;
}

}  // namespace

struct Admission::Account {
  KeyLimits limits;
  Bucket requests;
  Bucket tokens;
  Budget budget;
  std::int64_t running = 0;  // have a place
  std::int64_t shares = 0;   // Admissions that point here
  std::int64_t unpriced = 0;
};

Admission::~Admission() {
  if (limiter_ == nullptr) return;
  const MonoTime now = limiter_->clock_.now();
  for (Share& share : shares_) {
    if (share.account == nullptr) continue;
    Account& account = *share.account;
    account.tokens.give_back(share.tokens, now);
    account.budget.settle(share.money_micros, 0);
    account.running -= share.has_place ? 1 : 0;
    --account.shares;
  }
}

void Admission::settle(std::int64_t tokens, std::int64_t cost_micros) {
  if (limiter_ == nullptr) return;
  const MonoTime now = limiter_->clock_.now();
  for (Share& share : shares_) {
    if (share.account == nullptr) continue;
    const std::int64_t reserved = std::exchange(share.tokens, 0);
    if (reserved >= tokens) {
      share.account->tokens.give_back(reserved - tokens, now);
    } else if (reserved > 0) {
      share.account->tokens.charge(tokens - reserved, now);  // an engine that is not ours, and did not stop
    }
    const std::int64_t money = std::exchange(share.money_micros, 0);
    if (money == 0) continue;
    limiter_->enter_period(*share.account);
    share.account->budget.settle(money, cost_micros);
  }
}

std::optional<RateView> Admission::tightest(Bucket Account::*bucket) const {
  std::optional<RateView> out;
  if (limiter_ == nullptr) return out;
  const MonoTime now = limiter_->clock_.now();
  for (const Share& share : shares_) {
    if (share.account == nullptr) continue;
    const Bucket& b = share.account->*bucket;
    if (!b.is_limited()) continue;
    const std::int64_t remaining = b.available(now);
    if (out.has_value() && std::pair(out->remaining, out->limit) <= std::pair(remaining, b.limit())) continue;
    out = RateView{b.limit(), remaining, b.wait_until_full(now)};
  }
  return out;
}

std::optional<RateView> Admission::requests() const {
  return tightest(&Account::requests);
}

std::optional<RateView> Admission::tokens() const {
  return tightest(&Account::tokens);
}

Limiter::Limiter(const Clock& clock, LimiterOptions options) : clock_(clock), options_(std::move(options)) {}

Limiter::~Limiter() {
  for (const Accounts& accounts : accounts_) {
    for (const auto& [name, account] : accounts) CHECK(account->shares == 0);
  }
}

Limiter::Account& Limiter::account_of(Holder holder, const std::string& name) {
  std::unique_ptr<Account>& account = accounts_of(holder)[name];
  if (account == nullptr) account = std::make_unique<Account>();
  return *account;
}

// Null: this holder has no limits.
Limiter::Share* Limiter::join(Admission& admission, Holder holder, const std::string& name, const KeyLimits& limits) {
  if (is_unlimited(limits)) return nullptr;
  Share& share = admission.shares_[static_cast<std::size_t>(holder)];
  CHECK(share.account == nullptr);
  Account& account = account_of(holder, name);
  if (account.limits != limits) {
    const MonoTime now = clock_.now();
    account.requests.resize(limits.requests_per_minute, now);
    account.tokens.resize(limits.tokens_per_minute, now);
    account.budget.configure(limits.budget_micros, limits.budget_period);
    account.limits = limits;
  }
  if (account.budget.is_limited()) enter_period(account);
  ++account.shares;
  share.account = &account;
  admission.limiter_ = this;
  return &share;
}

void Limiter::enter_period(Account& account) {
  constexpr std::int64_t kMicrosPerMinute = 60'000'000;
  const WallTime now = clock_.wall();
  const std::int64_t minute = now.us / kMicrosPerMinute;
  if (minute != offset_minute_ && options_.utc_offset_s) {
    offset_s_ = options_.utc_offset_s(now);
    offset_minute_ = minute;
  }
  account.budget.enter(period_number(account.budget.period(), now, offset_s_));
}

// What waiting cannot cure is said first.
std::optional<LimitRefusal> Limiter::take_place(Share& share, Holder holder) {
  Account& account = *share.account;
  if (account.budget.room_for(0) == Budget::Room::kNone) {
    return refusal(holder, LimitKind::kBudget, LimitRefusal::Cure::kNone, account.limits.budget_micros);
  }
  const std::int64_t at_once = account.limits.concurrency;
  if (at_once > 0 && account.running >= at_once) {
    return wait(holder, LimitKind::kConcurrency, at_once, kUntilOneEnds);
  }
  const MonoTime now = clock_.now();
  if (!account.requests.take(1, now)) {
    return wait(holder, LimitKind::kRequests, account.requests.limit(), account.requests.wait_for(1, now));
  }
  ++account.running;
  share.has_place = true;
  return std::nullopt;
}

void Limiter::give_all_back(Admission& admission, MonoTime now) {
  for (Share& share : admission.shares_) {
    if (share.account == nullptr) continue;
    Account& account = *share.account;
    account.tokens.give_back(std::exchange(share.tokens, 0), now);
    account.budget.settle(std::exchange(share.money_micros, 0), 0);
    if (!std::exchange(share.has_place, false)) continue;
    account.requests.give_back(1, now);
    --account.running;
  }
}

void Limiter::look(Admission& admission, const std::string& key_id, const KeyLimits& limits) {
  join(admission, Holder::kKey, key_id, limits);
}

std::optional<LimitRefusal> Limiter::begin(Admission& admission, const std::string& key_id, const KeyLimits& limits) {
  Share* const share = join(admission, Holder::kKey, key_id, limits);
  return share == nullptr ? std::nullopt : take_place(*share, Holder::kKey);
}

std::optional<LimitRefusal> Limiter::reserve(Admission& admission, const std::string& deployment,
                                             const KeyLimits& limits, TokenWish& wish) {
  Share* const share = join(admission, Holder::kDeployment, deployment, limits);
  std::optional<LimitRefusal> refused;
  if (share != nullptr) refused = take_place(*share, Holder::kDeployment);
  if (!refused.has_value()) refused = take_tokens(admission, wish);
  if (!refused.has_value()) refused = take_money(admission, deployment, wish);
  if (refused.has_value()) give_all_back(admission, clock_.now());
  return refused;
}

std::optional<LimitRefusal> Limiter::take_tokens(Admission& admission, TokenWish& wish) {
  const MonoTime now = clock_.now();
  const std::int64_t choices = std::max<std::int64_t>(wish.choices, 1);
  std::int64_t answer = wish.answer;
  for (const Holder holder : kHolders) {  // 1. what can never be
    const Account* const account = admission.shares_[static_cast<std::size_t>(holder)].account;
    if (account == nullptr || !account->tokens.is_limited()) continue;
    const std::int64_t most = (account->tokens.limit() - wish.prompt) / choices;
    if (most < 1 || (wish.answer_is_said && wish.answer > most)) {
      LimitRefusal out = refusal(holder, LimitKind::kTokens, LimitRefusal::Cure::kAsk, account->tokens.limit());
      out.most = std::max<std::int64_t>(most, 0);
      return out;
    }
    answer = std::min(answer, most);
  }
  // 2. How much of an unsaid length there is room for.
  const std::int64_t least =
      wish.answer_is_said ? answer : std::min(answer, std::clamp<std::int64_t>(answer / 2, 1, kLeastAnswer));
  for (const Holder holder : kHolders) {
    const Account* const account = admission.shares_[static_cast<std::size_t>(holder)].account;
    if (account == nullptr || !account->tokens.is_limited()) continue;
    const std::int64_t need = wish.prompt + least * choices;
    if (!account->tokens.can_take(need, now)) {
      return wait(holder, LimitKind::kTokens, account->tokens.limit(), account->tokens.wait_for(need, now));
    }
    answer = std::min(answer, (account->tokens.available(now) - wish.prompt) / choices);
  }
  // 3. All of it.
  const std::int64_t tokens = wish.prompt + answer * choices;
  for (Share& share : admission.shares_) {
    if (share.account == nullptr || !share.account->tokens.is_limited()) continue;
    CHECK(share.account->tokens.take(tokens, now));
    share.tokens = tokens;
  }
  wish.answer = answer;
  return std::nullopt;
}

std::optional<LimitRefusal> Limiter::take_money(Admission& admission, const std::string& deployment,
                                                const TokenWish& wish) {
  std::optional<Money> price;
  bool is_asked = false;
  for (const Holder holder : kHolders) {
    Share& share = admission.shares_[static_cast<std::size_t>(holder)];
    if (share.account == nullptr || !share.account->budget.is_limited()) continue;
    Account& account = *share.account;
    if (!is_asked && options_.most_it_can_cost) price = options_.most_it_can_cost(deployment, wish);
    is_asked = true;
    // No exchange rate is invented: another currency is no price.
    if (!price.has_value() || price->currency != account.limits.budget_currency) {
      ++account.unpriced;
      continue;
    }
    const std::int64_t micros = std::max<std::int64_t>(price->micros, 0);
    switch (account.budget.room_for(micros)) {
      case Budget::Room::kEnough: break;
      case Budget::Room::kHeldByOthers:
        return wait(holder, LimitKind::kBudget, account.limits.budget_micros, kUntilOneEnds);
      case Budget::Room::kNone:
        return refusal(holder, LimitKind::kBudget, LimitRefusal::Cure::kNone, account.limits.budget_micros);
    }
    account.budget.reserve(micros);
    share.money_micros = micros;
  }
  return std::nullopt;
}

void Limiter::add_spent(Holder holder, const std::string& name, BudgetPeriod period, std::int64_t micros) {
  Account& account = account_of(holder, name);
  account.budget.configure(account.budget.limit_micros(), period);
  enter_period(account);
  account.budget.add_spent(micros);
}

std::vector<BudgetUse> Limiter::budgets() {
  std::vector<BudgetUse> out;
  for (const Holder holder : kHolders) {
    for (const auto& [name, account] : accounts_of(holder)) {
      if (!account->budget.is_limited()) continue;
      enter_period(*account);
      const std::int64_t percent = proportion(account->budget.spent_micros(), 100, account->budget.limit_micros());
      if (percent > 0) out.push_back({holder, name, static_cast<int>(std::min<std::int64_t>(percent, 100))});
    }
  }
  return out;
}

std::optional<AccountView> Limiter::view(Holder holder, const std::string& name) {
  const Accounts& accounts = accounts_of(holder);
  const auto found = accounts.find(name);
  if (found == accounts.end()) return std::nullopt;
  Account& account = *found->second;
  if (account.budget.is_limited()) enter_period(account);
  const MonoTime now = clock_.now();
  AccountView out;
  out.limits = account.limits;
  out.requests_left = account.requests.available(now);
  out.tokens_left = account.tokens.available(now);
  out.running = account.running;
  out.spent_micros = account.budget.spent_micros();
  out.reserved_micros = account.budget.reserved_micros();
  out.unpriced_requests = account.unpriced;
  return out;
}

std::vector<BucketState> Limiter::state() const {
  const MonoTime now = clock_.now();
  std::vector<BucketState> out;
  for (const Holder holder : kHolders) {
    for (const auto& [name, account] : accounts_[static_cast<std::size_t>(holder)]) {
      BucketState s{holder,
                    name,
                    account->requests.limit(),
                    account->requests.missing(now),
                    account->tokens.limit(),
                    account->tokens.missing(now)};
      if (s.requests_missing > 0 || s.tokens_missing > 0) out.push_back(std::move(s));
    }
  }
  return out;
}

void Limiter::restore(const std::vector<BucketState>& states, Nanoseconds elapsed) {
  const MonoTime now = clock_.now();
  const MonoTime then = now + -elapsed;
  for (const BucketState& s : states) {
    Account& account = account_of(s.holder, s.name);
    account.requests = Bucket(s.requests_per_minute, then);
    account.requests.charge(s.requests_missing, then);
    account.tokens = Bucket(s.tokens_per_minute, then);
    account.tokens.charge(s.tokens_missing, then);
    account.limits.requests_per_minute = s.requests_per_minute;
    account.limits.tokens_per_minute = s.tokens_per_minute;
  }
}

void Limiter::forget_idle() {
  const MonoTime now = clock_.now();
  for (Accounts& accounts : accounts_) {
    std::erase_if(accounts, [now](const auto& entry) {
      const Account& account = *entry.second;
      return account.shares == 0 && account.requests.missing(now) == 0 && account.tokens.missing(now) == 0 &&
             account.budget.spent_micros() == 0 && account.unpriced == 0;
    });
  }
}

std::size_t Limiter::account_count() const {
  std::size_t out = 0;
  for (const Accounts& accounts : accounts_) out += accounts.size();
  return out;
}

}  // namespace dormouse::gateway
