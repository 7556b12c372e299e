// Goal: a key that was answered for is there after a restart, its audit line with it, and a use never sets anything
// back. Method: a real ledger file.
#include <gtest/gtest.h>

#include "ledger/keys.h"
#include "ledger/ledger_fixture.h"
#include "ledger/sqlite.h"

namespace dormouse::ledger {
namespace {

ApiKey key(const std::string& kid) {
  ApiKey out;
  out.kid = kid;
  out.name = "app";
  out.scope = "inference";
  out.mac = std::string(64, 'a');
  out.pepper_version = 1;
  out.hint = "wxyz";
  out.created_us = 5;
  return out;
}

class Keys : public LedgerFixture {
 protected:
  Status put(ApiKey row, const std::string& kind = "key_create") {
    KeyWrite write;
    write.rows.push_back(std::move(row));
    write.audit_kind = kind;
    write.audit_detail = "actor=socket kid=x";
    return wait([&](Done done) { book_->put_keys(write, std::move(done)); });
  }
  Status use(const KeyUse& use) {
    return wait([&](Done done) { book_->record_key_use({use}, std::move(done)); });
  }
  std::int64_t count(const char* sql) {
    return Connection::open(options().path, Access::kReadOnly)->query_integer(sql).value();
  }
};

TEST_F(Keys, EveryColumnComesBack) {
  open();
  ApiKey whole = key("Kid0000001");
  whole.scope = "admin";
  whole.models = {"chat", R"(odd "name" \ here)", "睡鼠"};
  whole.previous_mac = std::string(64, 'b');
  whole.previous_pepper_version = 2;
  whole.previous_hint = "old1";
  whole.previous_until_us = 7;
  whole.previous_used_us = 6;
  whole.requests_per_minute = 60;
  whole.tokens_per_minute = 20'000;
  whole.concurrency = 4;
  whole.budget_micros = 50'000'000;
  whole.budget_currency = "CNY";
  whole.budget_period = "day";
  whole.parent = "Kid0000000";
  whole.expires_us = 100;
  whole.rotated_us = 8;
  whole.used_us = 9;
  ASSERT_TRUE(put(whole).has_value());
  ASSERT_TRUE(put(key("Kid0000002")).has_value());
  reopen();
  ASSERT_EQ(book_->keys_at_start().size(), 2U);
  EXPECT_EQ(book_->keys_at_start()[0], whole);
  EXPECT_EQ(book_->keys_at_start()[1], key("Kid0000002"));
  EXPECT_EQ(count("SELECT count(*) FROM audit_events WHERE kind = 'key_create' AND detail = 'actor=socket kid=x'"), 2);
}

TEST_F(Keys, AChangeKeepsWhatAKeyWasMadeAsAndUsesOnlyGrow) {
  open();
  ASSERT_TRUE(put(key("a")).has_value());
  ASSERT_TRUE(use({"a", 50, 40}).has_value());
  ASSERT_TRUE(use({"a", 30, 60}).has_value());
  ASSERT_TRUE(use({"nobody", 30, 60}).has_value());
  ApiKey changed = key("a");
  changed.scope = "admin";  // what it was made with stays
  changed.parent = "b";
  changed.created_us = 99;
  changed.name = "other";
  changed.revoked_us = 70;
  changed.previous_used_us = 60;
  ASSERT_TRUE(put(changed, "key_revoke").has_value());
  reopen();
  ASSERT_EQ(book_->keys_at_start().size(), 1U);
  const ApiKey& now = book_->keys_at_start()[0];
  EXPECT_EQ(now.scope, "inference");
  EXPECT_EQ(now.parent, "");
  EXPECT_EQ(now.created_us, 5);
  EXPECT_EQ(now.name, "other");
  EXPECT_EQ(now.revoked_us, 70);
  EXPECT_EQ(now.used_us, 50);
  EXPECT_EQ(now.previous_used_us, 60);
}

TEST_F(Keys, WhatNoKeyCanBeIsRefusedAndLeavesNoAuditLine) {
  open();
  ApiKey nameless = key("a");
  nameless.name.clear();
  EXPECT_EQ(put(nameless).error().code, Code::kInvalidArgument);
  ApiKey without_mac = key("a");
  without_mac.mac = "short";
  EXPECT_EQ(put(without_mac).error().code, Code::kInvalidArgument);
  ApiKey odd_scope = key("a");
  odd_scope.scope = "everything";
  EXPECT_FALSE(put(odd_scope).has_value());
  ApiKey negative = key("a");
  negative.concurrency = -1;
  EXPECT_FALSE(put(negative).has_value());
  EXPECT_EQ(count("SELECT count(*) FROM audit_events WHERE kind LIKE 'key%'"), 0);
  EXPECT_EQ(count("SELECT count(*) FROM api_keys"), 0);
}

TEST_F(Keys, OfTheRevokedOnesTheLastAreRead) {
  open();
  KeyWrite write;
  write.audit_kind = "key_revoke";
  for (int i = 0; i < kMaxRevokedKeysRead + 5; ++i) {
    ApiKey row = key(numbered("r", i));
    row.revoked_us = 1'000 + i;
    write.rows.push_back(std::move(row));
  }
  write.rows.push_back(key("good"));
  ASSERT_TRUE(wait([&](Done done) { book_->put_keys(write, std::move(done)); }).has_value());
  reopen();
  const std::vector<ApiKey>& keys = book_->keys_at_start();
  ASSERT_EQ(keys.size(), static_cast<std::size_t>(kMaxRevokedKeysRead) + 1);
  EXPECT_EQ(keys.front().kid, "good");
  for (const ApiKey& k : keys) EXPECT_TRUE(!k.revoked_us.has_value() || *k.revoked_us >= 1'005) << k.kid;
}

}  // namespace
}  // namespace dormouse::ledger
