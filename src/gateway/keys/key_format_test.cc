// Goal: a key is one or it is not, and nothing about it can be guessed from what we keep. Method: properties over
// generated keys, published vectors for the hashes, hostile text, hostile files.
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include "base/ids.h"
#include "base/redact.h"
#include "gateway/keys/key_format.h"
#include "gateway/keys/key_mac.h"
#include "gateway/keys/key_wish.h"

namespace dormouse::gateway {
namespace {

namespace fs = std::filesystem;

TEST(KeyFormat, EveryGeneratedKeyIsReadAndRedactedAndNoTwoAreAlike) {
  std::set<std::string> seen;
  for (int i = 0; i < 1'000; ++i) {
    for (const Scope scope : {Scope::kInference, Scope::kRead, Scope::kAdmin}) {
      const std::string kid = make_kid();
      ASSERT_TRUE(is_kid(kid)) << kid;
      const std::string key = make_key(scope, kid);
      ASSERT_EQ(key.size(), kKeyCharacters);
      EXPECT_TRUE(key.starts_with(scope == Scope::kInference ? "lsk_" : "lsa_")) << key;
      ASSERT_EQ(kid_of(key), kid) << key;
      EXPECT_TRUE(key.ends_with(hint_of(key)));
      EXPECT_EQ(redact_keys("key=" + key + ";"), "key=" + key.substr(0, 4) + "[redacted];");
      EXPECT_TRUE(seen.insert(key).second);
    }
  }
}

// A checksum of 32 bits finds every change within 32 neighbouring bits, so of one character and of two swapped ones.
TEST(KeyFormat, NoChangeOfACharacterIsTakenForAKey) {
  for (int round = 0; round < 4; ++round) {
    const std::string key = make_key(Scope::kInference, make_kid());
    for (std::size_t at = 0; at < key.size(); ++at) {
      for (int c = 0; c < 256; ++c) {
        std::string changed = key;
        changed[at] = static_cast<char>(c);
        if (changed == key) continue;
        EXPECT_FALSE(kid_of(changed).has_value()) << changed;
      }
      std::string shorter = key;
      shorter.erase(at, 1);
      EXPECT_FALSE(kid_of(shorter).has_value());
      EXPECT_FALSE(kid_of(key.substr(0, at)).has_value());
      std::string longer = key;
      longer.insert(at, 1, 'a');
      EXPECT_FALSE(kid_of(longer).has_value());
      if (at == 0) continue;
      std::string swapped = key;
      std::swap(swapped[at - 1], swapped[at]);
      if (swapped != key) {
        EXPECT_FALSE(kid_of(swapped).has_value());
      }
    }
  }
}

TEST(KeyFormat, HostileTextIsNoKey) {
  const std::string key = make_key(Scope::kAdmin, make_kid());
  for (const std::string& text :
       {std::string(), std::string("lsk_"), std::string(64, 'a'), std::string(64, '\0'), std::string(1 << 20, 'l'),
        "lsk_" + std::string(60, '_'), " " + key, key + " ", key + "\n", key + std::string(1, '\0'), key + key,
        "LSA" + key.substr(3), "Bearer " + key, std::string("sk-proj-abcdefghijklmnopqrstuvwxyz0123456789")}) {
    EXPECT_FALSE(kid_of(text).has_value()) << text.substr(0, 80);
  }
  for (const char* kid : {"", "short", "elevenchars", "with space", "with_under", "ünïcödé", "../../../."}) {
    EXPECT_FALSE(is_kid(kid)) << kid;
  }
}

std::string unhex(std::string_view hex) {
  std::string out;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    out += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
  }
  return out;
}

// RFC 4231, cases 1, 2 and 6 (a key longer than a block); RFC 5869, case 1 (its first 32 bytes) and case 3.
TEST(KeyMac, TheHashesAreThoseOfTheStandards) {
  EXPECT_EQ(to_hex(hmac_sha256(std::string(20, '\x0b'), "Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(to_hex(hmac_sha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  EXPECT_EQ(
      to_hex(hkdf_sha256(std::string(22, '\x0b'), unhex("000102030405060708090a0b0c"), unhex("f0f1f2f3f4f5f6f7f8f9"))),
      "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
  EXPECT_EQ(to_hex(hkdf_sha256(std::string(22, '\x0b'), "", "")),
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d");
  EXPECT_TRUE(is_same("abc", "abc"));
  EXPECT_FALSE(is_same("abc", "abd"));
  EXPECT_FALSE(is_same("abc", "ab"));
}

class PepperFile : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = fs::temp_directory_path() / ("dormouse-pepper-" + random_hex(6));
    fs::create_directories(directory_);
  }
  void TearDown() override { fs::remove_all(directory_); }
  [[nodiscard]] std::string path() const { return (directory_ / "keys.pepper").string(); }
  void write(const std::string& text, mode_t mode = 0600) const {
    std::ofstream(path(), std::ios::trunc) << text;
    ::chmod(path().c_str(), mode);
  }
  fs::path directory_;
};

TEST_F(PepperFile, IsMadeOnceForItsOwnerOnlyAndReadBack) {
  EXPECT_EQ(Pepper::read(path()).error().code, Code::kNotFound);
  const Result<Pepper> made = Pepper::create(path());
  ASSERT_TRUE(made.has_value()) << made.error().message;
  EXPECT_EQ(fs::status(path()).permissions() & fs::perms::all, fs::perms::owner_read | fs::perms::owner_write);
  EXPECT_FALSE(fs::exists(path() + ".partial"));
  EXPECT_EQ(Pepper::create(path()).error().code, Code::kAlreadyExists);
  const Result<Pepper> read = Pepper::read(path());
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->newest(), 1);
  EXPECT_EQ(read->mac(1, "text"), made->mac(1, "text"));
  EXPECT_EQ(read->mac(1, "text").size(), 64U);
  EXPECT_NE(read->mac(1, "text"), read->mac(1, "texu"));
  fs::remove(path());
  EXPECT_NE(Pepper::create(path())->mac(1, "text"), made->mac(1, "text")) << "another house, another pepper";
}

TEST_F(PepperFile, VersionsAreKeptApartAndTheNewestMakes) {
  const std::string first = random_hex(32);
  write("1 " + first + "\n7 " + random_hex(32) + "\n");
  const Result<Pepper> both = Pepper::read(path());
  ASSERT_TRUE(both.has_value()) << both.error().message;
  EXPECT_EQ(both->newest(), 7);
  EXPECT_TRUE(both->has(1));
  EXPECT_FALSE(both->has(2));
  EXPECT_NE(both->mac(1, "k"), both->mac(7, "k"));
  EXPECT_EQ(both->mac(2, "k"), both->mac(7, "k"));
  write("1 " + first);
  EXPECT_EQ(Pepper::read(path())->mac(1, "k"), both->mac(1, "k"));
}

TEST_F(PepperFile, WhatOthersCouldReadOrIsNoPepperIsRefused) {
  const std::string good = "1 " + random_hex(32) + "\n";
  for (const mode_t mode : {0640U, 0604U, 0666U}) {
    write(good, mode);
    EXPECT_EQ(Pepper::read(path()).error().code, Code::kPermissionDenied) << mode;
  }
  for (const std::string& text : {std::string(), std::string("1\n"), std::string("1 abc\n"), "0 " + random_hex(32),
                                  "-1 " + random_hex(32), "x " + random_hex(32), good + good, good + "\n",
                                  "1 " + std::string(64, 'G'), "1 " + random_hex(33), std::string(5'000, '1')}) {
    write(text);
    EXPECT_EQ(Pepper::read(path()).error().code, Code::kDataLoss) << text.substr(0, 90);
  }
  fs::remove(path());
  fs::create_symlink("/etc/hostname", path());
  EXPECT_FALSE(Pepper::read(path()).has_value());
  EXPECT_FALSE(Pepper::create(path()).has_value());
}

TEST(KeyWish, BudgetsAndLifetimesAreReadExactlyOrRefused) {
  EXPECT_EQ(read_budget("50CNY/month")->micros, 50'000'000);
  EXPECT_EQ(read_budget("none")->micros, 0);
  const Result<catalog::BudgetRule> bad = read_budget("50CNY/year");
  ASSERT_FALSE(bad.has_value());
  EXPECT_TRUE(bad.error().message.starts_with("budget: ")) << bad.error().message;
  KeyLimits limits;
  EXPECT_EQ(budget_text(limits), "none");
  limits.budget_micros = 500'001;
  limits.budget_currency = "USD";
  limits.budget_period = BudgetPeriod::kDay;
  EXPECT_EQ(budget_text(limits), "0.500001USD/day");
  EXPECT_EQ(parse_expiry("90d")->after, std::chrono::hours(90 * 24));
  EXPECT_EQ(parse_expiry("never")->kind, Expiry::Kind::kNever);
  for (const char* text : {"", "0s", "999ms", "367d", "-1d", "soon", "1y", "90"}) {
    EXPECT_EQ(parse_expiry(text).has_value(), std::string(text) == "90") << text;  // whole seconds without a unit
  }
  EXPECT_EQ(*parse_overlap("0s"), std::chrono::seconds(0));
  EXPECT_FALSE(parse_overlap("8d").has_value());
}

TEST(KeyWish, WhatIsWrittenIsReadAndWhatIsOddIsRefusedByName) {
  const std::string json = R"({"name":"app","scope":"read","models":["chat","b"],"rpm":60,"tpm":20000,)"
                           R"("concurrency":4,"budget":"50CNY/month","expires":"90d"})";
  const Result<KeyWish> wish = parse_key_wish(json);
  ASSERT_TRUE(wish.has_value()) << wish.error().message;
  EXPECT_EQ(to_json(*wish), json);
  EXPECT_EQ(to_json(*parse_key_wish("{}")), "{}");
  EXPECT_EQ(to_json(*parse_key_wish(R"({"name":null,"expires":null})")), "{}") << "null is left out";
  EXPECT_EQ(to_json(*parse_key_wish(R"({"models":["a","a"],"expires":"never","budget":"none"})")),
            R"({"models":["a"],"budget":"none","expires":"never"})");
  struct Row {
    std::string body;
    const char* param;
  };
  for (const Row& row :
       {Row{R"({"name":""})", "name"}, Row{R"({"name":1})", "name"}, Row{R"({"name":"a\nb"})", "name"},
        Row{R"({"name":")" + std::string(65, 'x') + R"("})", "name"},
        Row{R"({"name":")" + make_key(Scope::kRead, make_kid()) + R"("})", "name"}, Row{R"({"scope":"all"})", "scope"},
        Row{R"({"models":"chat"})", "models"}, Row{R"({"models":[1]})", "models"}, Row{R"({"models":[""]})", "models"},
        Row{R"({"rpm":-1})", "rpm"}, Row{R"({"rpm":1.5})", "rpm"}, Row{R"({"tpm":"60"})", "tpm"},
        Row{R"({"concurrency":1e30})", "concurrency"}, Row{R"({"budget":50})", "budget"},
        Row{R"({"expires":90})", "expires"}, Row{R"({"colour":"blue"})", "colour"}, Row{R"({"key":"x"})", "key"},
        Row{R"({"colour":null})", "colour"}}) {
    const Result<KeyWish> refused = parse_key_wish(row.body);
    ASSERT_FALSE(refused.has_value()) << row.body;
    EXPECT_TRUE(refused.error().message.starts_with(std::string(row.param) + ":")) << refused.error().message;
  }
  for (const char* body : {"", "[]", "{", "1", R"({"name":"a","name":"b"})"}) {
    EXPECT_FALSE(parse_key_wish(body).has_value()) << body;
  }
  EXPECT_EQ(parse_rotation("")->overlap, std::chrono::hours(24));
  EXPECT_EQ(parse_rotation(R"({"overlap":"1h"})")->overlap, std::chrono::hours(1));
  EXPECT_FALSE(parse_rotation(R"({"overlap":3600})").has_value());
  EXPECT_FALSE(parse_rotation(R"({"over":"1h"})").has_value());
}

TEST(KeyWish, ViewsGoThereAndBack) {
  KeyView view;
  view.kid = "Kid0000001";
  view.prefix = "lsk_Kid0000001";
  view.hint = "wxyz";
  view.name = "睡鼠 \"app\"";
  view.models = {"a", "b"};
  view.limits = {60, 20'000, 4, 50'000'000, "CNY", BudgetPeriod::kDay};
  view.state = KeyState::kActive;
  view.parent = "Kid0000000";
  view.created_us = 5;
  view.expires_us = 6;
  view.used_us = 7;
  view.previous_hint = "old1";
  view.previous_until_us = 8;
  view.previous_used_us = 9;
  KeyView plain;
  plain.scope = Scope::kAdmin;
  plain.state = KeyState::kRevoked;
  plain.revoked_us = 3;
  const Result<KeyPage> page = parse_key_page(to_json(KeyPage{{view, plain}, "Kid0000002"}));
  ASSERT_TRUE(page.has_value());
  ASSERT_EQ(page->keys.size(), 2U);
  EXPECT_EQ(page->keys[0], view);
  EXPECT_EQ(page->keys[1], plain);
  EXPECT_EQ(page->next_after, "Kid0000002");
  EXPECT_EQ(parse_issued_key(to_json(IssuedKey{"lsk_secret", view}))->key, "lsk_secret");
  EXPECT_FALSE(parse_issued_key(to_json(view)).has_value());
  EXPECT_EQ(*parse_revoked(revoked_json({"a", "b"})), (std::vector<std::string>{"a", "b"}));
}

}  // namespace
}  // namespace dormouse::gateway
