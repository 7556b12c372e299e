// Goal: who is let in, until when, and that no key makes another one that has more than itself. Method: a ring with a
// clock that stands still, drafts adopted as if the ledger had taken them; random lattices of limits for the last.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "base/ids.h"
#include "gateway/keys/failed_attempts.h"
#include "gateway/keys/key_access.h"
#include "gateway/keys/key_format.h"
#include "gateway/keys/key_ring.h"

namespace dormouse::gateway {
namespace {

namespace fs = std::filesystem;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

class Ring : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::temp_directory_path() / ("dormouse-ring-" + random_hex(6));
    fs::create_directories(directory_);
    open({});
  }
  void TearDown() override { fs::remove_all(directory_); }
  [[nodiscard]] std::string pepper_path() const { return (directory_ / "keys.pepper").string(); }
  void open(std::vector<ledger::ApiKey> rows) {
    Result<KeyRing> opened = KeyRing::open(clock_, pepper_path(), std::move(rows));
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    ring_.emplace(*std::move(opened));
  }
  // As the server does, less the ledger.
  Result<std::string> take(Result<KeyDraft> draft) {
    if (!draft.has_value()) return draft.error();
    for (const ledger::ApiKey& row : draft->write.rows) rows_[row.kid] = row;
    audit_.push_back(draft->write.audit_kind + " " + draft->write.audit_detail);
    ring_->adopt(draft->write.rows);
    return draft->key;
  }
  std::string create(KeyWish wish, const Caller* by = nullptr) {
    if (!wish.name.has_value()) wish.name = "app";
    const Result<std::string> key = take(ring_->draft_create(wish, by));
    EXPECT_TRUE(key.has_value()) << key.error().message;
    return key.value_or("");
  }
  CallerPtr caller(const std::string& key) { return ring_->verify(key).caller; }
  std::string kid(const std::string& key) { return std::string(kid_of(key).value_or("")); }
  bool lets_in(const std::string& key) { return ring_->verify(key).caller != nullptr; }
  // A draft's refusal: "PERMISSION KEY", "INVALID KEY".
  static std::string refusal(const Result<KeyDraft>& draft) {
    if (draft.has_value()) return "none";
    const std::string key = draft.error().message.substr(0, draft.error().message.find(':'));
    return std::string(to_string(draft.error().code)) + " " + key;
  }

  ManualClock clock_;
  fs::path directory_;
  std::optional<KeyRing> ring_;
  std::map<std::string, ledger::ApiKey> rows_;
  std::vector<std::string> audit_;
};

KeyWish with(const char* json) {
  return parse_key_wish(json).value();
}

TEST_F(Ring, AKeyIsWhoItWasMadeAsAndNothingElseIsAKey) {
  EXPECT_FALSE(ring_->wants_keys());
  EXPECT_FALSE(ring_->any_active());
  EXPECT_FALSE(lets_in(make_key(Scope::kInference, make_kid()))) << "no key, no pepper";
  EXPECT_FALSE(fs::exists(pepper_path()));
  const std::string key = create(with(R"({"name":"app","models":["chat"],"rpm":60,"tpm":7,"concurrency":4,)"
                                      R"("budget":"50CNY/month"})"));
  EXPECT_TRUE(key.starts_with("lsk_"));
  const CallerPtr who = caller(key);
  ASSERT_NE(who, nullptr);
  EXPECT_EQ(who->key_id, kid(key));
  EXPECT_EQ(who->name, "app");
  EXPECT_EQ(who->scope, Scope::kInference);
  EXPECT_EQ(who->models, std::vector<std::string>{"chat"});
  EXPECT_EQ(who->limits, (KeyLimits{60, 7, 4, 50'000'000, "CNY", BudgetPeriod::kMonth}));
  EXPECT_TRUE(ring_->wants_keys());
  EXPECT_TRUE(ring_->any_active());
  // The right kid, another secret: as unknown as no kid at all.
  const KeyVerdict guessed = ring_->verify(make_key(Scope::kInference, kid(key)));
  const KeyVerdict unknown = ring_->verify(make_key(Scope::kInference, make_kid()));
  EXPECT_EQ(guessed.caller, nullptr);
  EXPECT_EQ(unknown.caller, nullptr);
  EXPECT_EQ(guessed.refusal, KeyRefusal::kInvalid);
  EXPECT_EQ(unknown.refusal, KeyRefusal::kInvalid);
  EXPECT_TRUE(create(with(R"({"scope":"admin"})")).starts_with("lsa_"));
  EXPECT_TRUE(create(with(R"({"scope":"read"})")).starts_with("lsa_"));
}

TEST_F(Ring, WhatIsKeptHoldsNoSecretAndIsEnoughForTheNextStart) {
  const std::string key = create(with(R"({"name":"app"})"));
  const ledger::ApiKey row = rows_.at(kid(key));
  const std::string secret = key.substr(kPrefixCharacters + kKidCharacters + 1, kSecretCharacters);
  for (const std::string& text : {row.mac, row.hint, row.name, audit_.front(), to_json(*ring_->view(row.kid))}) {
    EXPECT_EQ(text.find(secret), std::string::npos);
    EXPECT_EQ(text.find(secret.substr(0, 12)), std::string::npos);
  }
  open({row});
  EXPECT_TRUE(lets_in(key));
  EXPECT_EQ(ring_->notice(), "");
  fs::rename(pepper_path(), pepper_path() + ".away");
  open({row});
  EXPECT_FALSE(lets_in(key));
  EXPECT_TRUE(ring_->wants_keys()) << "a lost pepper opens nothing";
  EXPECT_NE(ring_->notice().find("1 API keys are refused"), std::string::npos) << ring_->notice();
  std::ofstream(pepper_path()) << "garbage";
  fs::permissions(pepper_path(), fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_FALSE(KeyRing::open(clock_, pepper_path(), {row}).has_value());
}

TEST_F(Ring, ANewPepperLeavesOldKeysGoodAndMakesNewOnes) {
  const std::string old = create(with("{}"));
  std::ofstream(pepper_path(), std::ios::app) << "2 " << random_hex(32) << "\n";
  open({rows_.at(kid(old))});
  EXPECT_TRUE(lets_in(old));
  const std::string rotated = take(ring_->draft_rotate(kid(old), {hours(1), std::nullopt}, nullptr)).value();
  EXPECT_EQ(rows_.at(kid(old)).pepper_version, 2);
  EXPECT_EQ(rows_.at(kid(old)).previous_pepper_version, 1);
  EXPECT_TRUE(lets_in(rotated));
  EXPECT_TRUE(lets_in(old));
}

TEST_F(Ring, KeysExpireAndAreRevokedAndTheDoorStaysShut) {
  const std::string brief = create(with(R"({"expires":"10m"})"));
  const std::string usual = create(with("{}"));
  const std::string eternal = create(with(R"({"expires":"never"})"));
  clock_.advance(minutes(10) - seconds(1));
  EXPECT_TRUE(lets_in(brief));
  clock_.advance(seconds(1));
  EXPECT_FALSE(lets_in(brief));
  EXPECT_EQ(ring_->verify(brief).refusal, KeyRefusal::kExpired);
  EXPECT_EQ(ring_->verify(make_key(Scope::kInference, kid(brief))).refusal, KeyRefusal::kInvalid)
      << "only who has the secret hears that it is too late";
  clock_.advance(hours(90 * 24));
  EXPECT_FALSE(lets_in(usual)) << "90 days by default";
  EXPECT_TRUE(lets_in(eternal));
  ASSERT_TRUE(take(ring_->draft_revoke(kid(eternal), Children::kKeep, nullptr)).has_value());
  EXPECT_FALSE(lets_in(eternal));
  EXPECT_EQ(ring_->verify(eternal).refusal, KeyRefusal::kInvalid);
  EXPECT_FALSE(ring_->any_active());
  EXPECT_TRUE(ring_->wants_keys());
  EXPECT_EQ(ring_->view(kid(brief))->state, KeyState::kExpired);
  EXPECT_EQ(ring_->view(kid(eternal))->state, KeyState::kRevoked);
  EXPECT_EQ(refusal(ring_->draft_change(kid(eternal), with(R"({"expires":"never"})"), nullptr)),
            "invalid_argument kid");
  EXPECT_EQ(refusal(ring_->draft_rotate(kid(eternal), {}, nullptr)), "invalid_argument kid");
  EXPECT_EQ(ring_->draft_revoke("Nobody0000", Children::kKeep, nullptr).error().code, Code::kNotFound);
  EXPECT_EQ(ring_->draft_rotate("'; DROP--", {}, nullptr).error().message, "no key '?'");
}

TEST_F(Ring, ARotationLetsBothInUntilTheOverlapIsOver) {
  const std::string old = create(with(R"({"expires":"10d","rpm":5})"));
  clock_.advance(hours(24));
  const std::string renewed = take(ring_->draft_rotate(kid(old), {hours(2), std::nullopt}, nullptr)).value();
  EXPECT_EQ(kid(renewed), kid(old)) << "usage, limits and the bill go on under one name";
  EXPECT_NE(renewed, old);
  EXPECT_TRUE(lets_in(old));
  EXPECT_TRUE(lets_in(renewed));
  EXPECT_EQ(caller(old)->limits.requests_per_minute, 5);
  const KeyView both = *ring_->view(kid(old));
  EXPECT_EQ(both.hint, hint_of(renewed));
  EXPECT_EQ(both.previous_hint, hint_of(old));
  EXPECT_EQ(both.previous_used_us, clock_.wall().us);
  EXPECT_EQ(*both.expires_us, clock_.wall().us + 10LL * 24 * 3'600 * 1'000'000) << "as long again";
  clock_.advance(hours(2));
  EXPECT_FALSE(lets_in(old));
  EXPECT_EQ(ring_->verify(old).refusal, KeyRefusal::kExpired);
  EXPECT_TRUE(lets_in(renewed));
  EXPECT_EQ(ring_->view(kid(old))->previous_hint, "");
  const std::string third = take(ring_->draft_rotate(kid(old), {seconds(0), std::nullopt}, nullptr)).value();
  EXPECT_FALSE(lets_in(renewed)) << "no overlap: a leaked one is out at once";
  EXPECT_FALSE(lets_in(old));
  EXPECT_TRUE(lets_in(third));
  const std::string fourth = take(ring_->draft_rotate(kid(old), {hours(1), std::nullopt}, nullptr)).value();
  ASSERT_TRUE(take(ring_->draft_revoke(kid(old), Children::kKeep, nullptr)).has_value());
  EXPECT_FALSE(lets_in(third));
  EXPECT_FALSE(lets_in(fourth));
}

TEST_F(Ring, UsesAreNotedToAMinuteAndWrittenOnceAMinute) {
  const std::string a = create(with("{}"));
  const std::string b = create(with("{}"));
  EXPECT_TRUE(ring_->take_uses(KeyRing::Flush::kIfDue).empty());
  ASSERT_TRUE(lets_in(a));
  EXPECT_FALSE(lets_in(make_key(Scope::kInference, kid(b))));
  std::vector<ledger::KeyUse> uses = ring_->take_uses(KeyRing::Flush::kIfDue);
  ASSERT_EQ(uses.size(), 1U);
  EXPECT_EQ(uses[0].kid, kid(a));
  EXPECT_EQ(uses[0].used_us, clock_.wall().us);
  clock_.advance(seconds(59));
  ASSERT_TRUE(lets_in(a));
  ASSERT_TRUE(lets_in(b));
  EXPECT_TRUE(ring_->take_uses(KeyRing::Flush::kIfDue).empty()) << "too soon";
  EXPECT_EQ(ring_->take_uses(KeyRing::Flush::kNow).size(), 1U) << "b only: a's minute is not over";
  clock_.advance(seconds(61));
  ASSERT_TRUE(lets_in(a));
  ASSERT_TRUE(lets_in(b));
  EXPECT_EQ(ring_->take_uses(KeyRing::Flush::kIfDue).size(), 2U);
  EXPECT_EQ(ring_->view(kid(a))->used_us, clock_.wall().us);
}

TEST_F(Ring, PagesAreWholeAndInOrder) {
  std::set<std::string> made;
  for (int i = 0; i < 25; ++i) {
    made.insert(kid(create(with("{}"))));
    if (i % 3 == 0) clock_.advance(seconds(1));
  }
  std::set<std::string> seen;
  std::string after;
  int pages = 0;
  std::int64_t last_us = 0;
  do {
    const KeyPage page = ring_->page(after, 10);
    for (const KeyView& view : page.keys) {
      EXPECT_TRUE(seen.insert(view.kid).second);
      EXPECT_GE(view.created_us, last_us);
      last_us = view.created_us;
    }
    after = page.next_after;
    ++pages;
  } while (!after.empty() && pages < 10);
  EXPECT_EQ(seen, made);
  EXPECT_EQ(pages, 3);
}

TEST_F(Ring, TheAuditNamesWhoDidWhat) {
  const std::string boss = create(with(R"({"name":"boss","scope":"admin"})"));
  const CallerPtr by = caller(boss);
  const std::string key = create(with(R"({"name":"app","rpm":60,"models":["chat"]})"), by.get());
  ASSERT_TRUE(take(ring_->draft_change(kid(key), with(R"({"rpm":90})"), by.get())).has_value());
  ASSERT_TRUE(take(ring_->draft_rotate(kid(key), {}, by.get())).has_value());
  ASSERT_TRUE(take(ring_->draft_revoke(kid(boss), Children::kRevoke, nullptr)).has_value());
  ASSERT_EQ(audit_.size(), 5U);
  EXPECT_TRUE(audit_[0].starts_with("key_create actor=socket kid=" + kid(boss) + " scope=admin models=*")) << audit_[0];
  EXPECT_TRUE(audit_[1].starts_with("key_create actor=" + kid(boss) + " kid=" + kid(key))) << audit_[1];
  EXPECT_NE(audit_[2].find("rpm=60 "), std::string::npos) << audit_[2];
  EXPECT_NE(audit_[2].find("rpm=90 "), std::string::npos) << audit_[2];
  EXPECT_TRUE(audit_[3].starts_with("key_rotate actor=" + kid(boss))) << audit_[3];
  EXPECT_EQ(audit_[4], "key_revoke actor=socket kids=" + kid(boss) + "," + kid(key));
  EXPECT_FALSE(lets_in(key)) << "with its parent";
  // Revoked while its request was on the way.
  EXPECT_EQ(ring_->draft_create(with(R"({"name":"x"})"), by.get()).error().code, Code::kPermissionDenied);
  EXPECT_EQ(ring_->draft_revoke(kid(key), Children::kKeep, by.get()).error().code, Code::kPermissionDenied);
}

TEST_F(Ring, MoreThanTheCreatorIsRefusedByName) {
  const CallerPtr by = caller(create(with(R"({"scope":"admin","models":["a","b"],"rpm":60,"tpm":100,"concurrency":4,)"
                                          R"("budget":"5CNY/day","expires":"2d"})")));
  struct Row {
    const char* wish;
    const char* refused;
  };
  for (const Row& row :
       {Row{R"({"rpm":61})", "permission_denied rpm"}, Row{R"({"rpm":0})", "permission_denied rpm"},
        Row{R"({"tpm":101})", "permission_denied tpm"}, Row{R"({"concurrency":0})", "permission_denied concurrency"},
        Row{R"({"budget":"none"})", "permission_denied budget"},
        Row{R"({"budget":"6CNY/day"})", "permission_denied budget"},
        Row{R"({"budget":"1USD/day"})", "permission_denied budget"},
        Row{R"({"budget":"1CNY/month"})", "permission_denied budget"},
        Row{R"({"models":[]})", "permission_denied models"}, Row{R"({"models":["a","c"]})", "permission_denied models"},
        Row{R"({"models":["a b"]})", "invalid_argument models"},
        Row{R"({"expires":"3d"})", "permission_denied expires"},
        Row{R"({"expires":"never"})", "permission_denied expires"}}) {
    KeyWish wish = with(row.wish);
    EXPECT_EQ(refusal(ring_->draft_change(by->key_id, wish, by.get())), row.refused) << "itself: " << row.wish;
    wish.name = "child";
    EXPECT_EQ(refusal(ring_->draft_create(wish, by.get())), row.refused) << row.wish;
  }
  EXPECT_EQ(refusal(ring_->draft_create(with("{}"), by.get())), "invalid_argument name");
  const std::string child = create(with(R"({"scope":"read","models":["b"],"rpm":1})"), by.get());
  EXPECT_EQ(rows_.at(kid(child)).parent, by->key_id);
  EXPECT_EQ(rows_.at(kid(child)).tokens_per_minute, 100) << "not said: as the creator";
  EXPECT_EQ(rows_.at(kid(child)).expires_us, rows_.at(by->key_id).expires_us) << "cut to the creator's";
  // The new secret of a greater key would be a way up.
  const std::string greater = create(with(R"({"scope":"admin"})"));
  EXPECT_EQ(refusal(ring_->draft_rotate(kid(greater), {}, by.get())), "permission_denied models");
  EXPECT_EQ(refusal(ring_->draft_change(kid(greater), with(R"({"name":"mine"})"), by.get())),
            "permission_denied models");
  EXPECT_TRUE(ring_->draft_rotate(by->key_id, {}, by.get()).has_value()) << "itself";
}

// Requirement S-41 over random lattices: whatever is wished, what comes out is within its creator, and a child's child
// within the first.
TEST_F(Ring, NoDescendantEverHasMoreThanItsAncestors) {
  constexpr std::uint32_t kSeed = 20'261'126;
  std::mt19937 random(kSeed);
  const auto pick = [&random](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  const auto random_wish = [&] {
    KeyWish wish;
    wish.name = "k";
    if (pick(2) == 0) wish.scope = std::array{Scope::kInference, Scope::kRead, Scope::kAdmin}[random() % 3];
    if (pick(2) == 0) {
      wish.models.emplace();
      for (const char* name : {"a", "b", "c"}) {
        if (pick(2) == 0) wish.models->push_back(name);
      }
    }
    if (pick(2) == 0) wish.requests_per_minute = pick(4);
    if (pick(2) == 0) wish.tokens_per_minute = pick(4);
    if (pick(2) == 0) wish.concurrency = pick(4);
    if (pick(2) == 0)
      wish.budget = catalog::BudgetRule{pick(3), pick(2) == 0 ? "CNY" : "USD", catalog::BudgetRule::Period(pick(2))};
    if (pick(2) == 0) wish.expires = Expiry{Expiry::Kind(pick(2)), hours(1 + pick(200) * 24)};
    return wish;
  };
  const auto bounded = [](std::int64_t child, std::int64_t parent) {
    return parent == 0 || (child > 0 && child <= parent);
  };
  int made = 0;
  int refused = 0;
  for (int round = 0; round < 300; ++round) {
    KeyWish first = random_wish();
    first.scope = Scope::kAdmin;
    std::vector<std::string> line{create(first)};
    for (int generation = 0; generation < 20; ++generation) {
      const CallerPtr by = caller(line.back());
      if (by == nullptr || by->scope != Scope::kAdmin) break;  // the route asks for it
      const Result<std::string> child = take(ring_->draft_create(random_wish(), by.get()));
      child.has_value() ? ++made : ++refused;
      if (!child.has_value()) continue;
      line.push_back(*child);
      const ledger::ApiKey& row = rows_.at(kid(*child));
      for (const std::string& elder : line) {
        const ledger::ApiKey& bound = rows_.at(kid(elder));
        EXPECT_TRUE(bounded(row.requests_per_minute, bound.requests_per_minute)) << "seed " << kSeed;
        EXPECT_TRUE(bounded(row.tokens_per_minute, bound.tokens_per_minute));
        EXPECT_TRUE(bounded(row.concurrency, bound.concurrency));
        EXPECT_TRUE(bounded(row.budget_micros, bound.budget_micros));
        if (bound.budget_micros > 0) {
          EXPECT_EQ(row.budget_currency, bound.budget_currency);
        }
        EXPECT_TRUE(!bound.expires_us.has_value() ||
                    (row.expires_us.has_value() && row.expires_us <= bound.expires_us));
        for (const std::string& model : row.models) {
          EXPECT_TRUE(bound.models.empty() || std::count(bound.models.begin(), bound.models.end(), model) == 1);
        }
        EXPECT_TRUE(bound.models.empty() || !row.models.empty());
      }
    }
  }
  EXPECT_GT(made, 100) << "seed " << kSeed;
  EXPECT_GT(refused, 100) << "seed " << kSeed;
}

TEST_F(Ring, ThereIsAMostOfKeys) {
  std::vector<ledger::ApiKey> rows(kMaxKeys);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].kid = fmt::format("k{}", i);
    rows[i].scope = "inference";
  }
  ring_->adopt(rows);
  KeyWish wish;
  wish.name = "one more";
  EXPECT_EQ(ring_->draft_create(wish, nullptr).error().code, Code::kTooLarge);
  rows.resize(1);
  rows[0].revoked_us = 1;
  ring_->adopt(rows);
  EXPECT_TRUE(ring_->draft_create(wish, nullptr).has_value());
}

TEST(KeyAccess, EachScopeIsForItself) {
  constexpr std::array kAll = {Access::kNone, Access::kOpen,  Access::kConsole, Access::kInference,
                               Access::kRead, Access::kAdmin, Access::kSocket};
  const auto allowed = [&kAll](Scope scope) {
    std::vector<Access> out;
    for (const Access access : kAll) {
      if (may_call(scope, access)) out.push_back(access);
    }
    return out;
  };
  EXPECT_EQ(allowed(Scope::kInference), (std::vector<Access>{Access::kOpen, Access::kConsole, Access::kInference}));
  EXPECT_EQ(allowed(Scope::kRead), (std::vector<Access>{Access::kOpen, Access::kConsole, Access::kRead}));
  EXPECT_EQ(allowed(Scope::kAdmin),
            (std::vector<Access>{Access::kOpen, Access::kConsole, Access::kRead, Access::kAdmin}));
  EXPECT_TRUE(may_use(nullptr, "chat"));
  Caller caller;
  EXPECT_TRUE(may_use(std::make_shared<const Caller>(caller), "chat"));
  caller.models = {"chat"};
  EXPECT_TRUE(may_use(std::make_shared<const Caller>(caller), "chat"));
  EXPECT_FALSE(may_use(std::make_shared<const Caller>(caller), "cha"));
}

TEST(FailedAttempts, TwentyAtOnceThenTenAMinuteOfEachAddressAndTheTableIsBounded) {
  ManualClock clock;
  FailedAttempts attempts(clock);
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(attempts.count("a").has_value()) << i;
  EXPECT_EQ(attempts.count("a"), seconds(6));
  EXPECT_FALSE(attempts.count("b").has_value()) << "another address";
  clock.advance(seconds(2));
  EXPECT_EQ(attempts.count("a"), seconds(4)) << "a refused one costs nothing";
  clock.advance(seconds(4));
  EXPECT_FALSE(attempts.count("a").has_value());
  EXPECT_TRUE(attempts.count("a").has_value());
  int in_a_minute = 0;
  for (int i = 0; i < 600; ++i) {
    clock.advance(std::chrono::milliseconds(100));
    if (!attempts.count("a").has_value()) ++in_a_minute;
  }
  EXPECT_EQ(in_a_minute, 10);
  for (std::size_t i = 0; i < 2 * kMaxFailureAddresses; ++i) {
    static_cast<void>(attempts.count(fmt::format("x{}", i)));
    if (i % 1'000 == 0) static_cast<void>(attempts.count("a"));  // seen lately: it stays
  }
  EXPECT_EQ(attempts.addresses(), kMaxFailureAddresses);
  EXPECT_TRUE(attempts.count("a").has_value());
}

TEST(FailedAttempts, AnAddressIsAnIpv4OneOrASlash64) {
  EXPECT_EQ(address_of("10.0.0.7"), "10.0.0.7");
  EXPECT_NE(address_of("10.0.0.7"), address_of("10.0.0.8"));
  EXPECT_EQ(address_of("2001:db8::1"), address_of("2001:db8::ffff:1:2"));
  EXPECT_NE(address_of("2001:db8::1"), address_of("2001:db8:0:1::1"));
  EXPECT_EQ(address_of(""), "");
}

}  // namespace
}  // namespace dormouse::gateway
