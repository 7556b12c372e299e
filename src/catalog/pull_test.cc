// Goal: whatever a source does - cuts, lies about lengths and ranges, wrong bytes, redirects - a file is there whole
// and with its sha256, or not at all, and what came is taken up (S-28, R-19, T-69). Method: pull() against a server on
// this machine that writes what each test says; small pieces, so that few bytes make many requests.
#include "catalog/pull.h"

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/ids.h"
#include "catalog/catalog.h"
#include "catalog/pull_copy.h"
#include "catalog/pull_fixture_test.h"
#include "catalog/pull_transfer.h"
#include "catalog/pull_web.h"
#include "http/sha256.h"

namespace dormouse::catalog {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kPieceBytes = 100'000;
constexpr std::size_t kContentBytes = 1'050'003;  // ten pieces and a half

std::string content() {
  std::string out = "GGUF";
  std::uint32_t state = 1;
  while (out.size() < kContentBytes) {
    state = state * 1'664'525U + 1'013'904'223U;
    out += static_cast<char>(state >> 24U);
  }
  return out;
}

std::string sha256(std::string_view text) {
  http::Sha256 hash;
  hash.update(text.data(), text.size());
  return hash.finish();
}

class PullTest : public testing::Test {
 protected:
  PullTest() : directory_(fs::temp_directory_path() / ("dormouse-pull-" + random_hex(6))) {
    options_.piece_bytes = kPieceBytes;
    options_.retry_delay = std::chrono::milliseconds(1);
    image_.name = "test";
    image_.tag = "q8_0";
    image_.file = "test.gguf";
    image_.runtimes = {"builtin"};
    image_.sha256 = sha256(content_);
  }
  ~PullTest() override {
    std::error_code ec;
    fs::remove_all(directory_, ec);
  }

  Result<Pulled> pull_from(const std::string& source) {
    PullRequest request{.image = image_, .directory = directory_.string(), .source = source};
    return pull(request, options_, clock_, on_progress_, stop_.get_token());
  }
  // As the hubs are asked: both of them are `server`.
  Result<Pulled> pull_from_hubs(const LyingServer& server) {
    options_.endpoints = {.huggingface = server.url("/hf"), .modelscope = server.url("/ms")};
    EXPECT_TRUE(options_.hosts.allow(server.authority()).has_value());
    return pull_from("");
  }
  [[nodiscard]] std::string path() const { return (directory_ / "test.gguf").string(); }
  [[nodiscard]] std::string landed() const {
    std::ifstream file(path(), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  [[nodiscard]] bool is_clean() const { return !fs::exists(path() + ".part") && !fs::exists(path() + ".part.ranges"); }
  void expect_refused(const Result<Pulled>& pulled, Code code, std::string_view said) const {
    ASSERT_FALSE(pulled.has_value());
    EXPECT_EQ(pulled.error().code, code) << pulled.error().message;
    EXPECT_NE(pulled.error().message.find(said), std::string::npos) << pulled.error().message;
    EXPECT_FALSE(fs::exists(path()));
  }

  const std::string content_ = content();
  Image image_;
  PullOptions options_;
  SystemClock clock_;
  std::function<void(const PullProgress&)> on_progress_;
  std::stop_source stop_;
  fs::path directory_;
};

TEST_F(PullTest, PiecesInParallelBecomeTheFile) {
  LyingServer server([this](const Seen& seen) { return honest(seen, content_); });
  std::vector<PullProgress> told;
  on_progress_ = [&told](const PullProgress& progress) { told.push_back(progress); };
  const Result<Pulled> pulled = pull_from(server.url("/x.gguf"));
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  EXPECT_EQ(landed(), content_);
  EXPECT_EQ(pulled->sha256, sha256(content_));
  EXPECT_EQ(pulled->bytes, static_cast<std::int64_t>(kContentBytes));
  EXPECT_TRUE(is_clean());
  EXPECT_EQ(server.seen().size(), 1U + 11U);
  ASSERT_FALSE(told.empty());
  EXPECT_EQ(told.back().stage, PullProgress::Stage::kChecking);
  EXPECT_EQ(told.back().done, static_cast<std::int64_t>(kContentBytes));
  for (const Seen& seen : server.seen()) EXPECT_FALSE(seen.headers.contains("authorization"));
  // The second time nothing is asked.
  const Result<Pulled> again = pull_from(server.url("/x.gguf"));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->how, Pulled::How::kWasThere);
  EXPECT_EQ(server.seen().size(), 12U);
}

TEST_F(PullTest, AConnectionThatBreaksOffIsTakenUpWhereItWas) {
  std::atomic<int> cuts = 0;
  LyingServer server([&](const Seen& seen) {
    Reply answer = honest(seen, content_);
    if (answer.bytes.size() > 50'000 && ++cuts % 2 == 1) {
      answer.bytes.resize(50'000);
      answer.cut = true;
    }
    return answer;
  });
  const Result<Pulled> pulled = pull_from(server.url("/x.gguf"));
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  EXPECT_EQ(landed(), content_);
  EXPECT_GT(cuts, 5);
}

TEST_F(PullTest, WhatAnEarlierCallLeftIsNotFetchedAgain) {
  std::atomic<bool> is_broken = true;
  LyingServer server([&](const Seen& seen) {
    const bool is_late = seen.headers.at("range") != "bytes=0-0" && seen.headers.at("range").starts_with("bytes=5");
    if (is_broken && is_late) return Reply{"", true};
    return honest(seen, content_);
  });
  options_.connections = 1;
  const Result<Pulled> first = pull_from(server.url("/x.gguf"));
  expect_refused(first, Code::kUnavailable, "the next pull goes on from there");
  EXPECT_TRUE(fs::exists(path() + ".part"));
  const std::size_t asked = server.seen().size();
  is_broken = false;
  std::int64_t resumed = 0;
  on_progress_ = [&resumed](const PullProgress& progress) { resumed = progress.resumed; };
  const Result<Pulled> second = pull_from(server.url("/x.gguf"));
  ASSERT_TRUE(second.has_value()) << second.error().message;
  EXPECT_EQ(landed(), content_);
  EXPECT_EQ(resumed, 5 * kPieceBytes);
  EXPECT_EQ(server.seen().size() - asked, 1U + 6U);
}

TEST_F(PullTest, AStopLeavesAPartThatIsTakenUp) {
  std::atomic<int> answered = 0;
  LyingServer server([&](const Seen& seen) {
    Reply answer = honest(seen, content_);
    if (seen.headers.at("range") != "bytes=0-0" && ++answered == 4) stop_.request_stop();
    // Never whole: without the stop it would go on for ever.
    if (answered >= 4) answer.bytes.resize(answer.bytes.size() - 1);
    return answer;
  });
  options_.connections = 1;
  const Result<Pulled> stopped = pull_from(server.url("/x.gguf"));
  expect_refused(stopped, Code::kCancelled, "the next pull goes on from there");
  stop_ = std::stop_source();
  LyingServer whole([this](const Seen& seen) { return honest(seen, content_); });
  std::int64_t resumed = 0;
  on_progress_ = [&resumed](const PullProgress& progress) { resumed = progress.resumed; };
  const Result<Pulled> pulled = pull_from(whole.url("/x.gguf"));
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  EXPECT_GE(resumed, 3 * kPieceBytes);
  EXPECT_EQ(landed(), content_);
}

TEST_F(PullTest, AServerWithoutRangesIsReadFromTheStart) {
  LyingServer server([this](const Seen& seen) {
    Seen whole = seen;
    whole.headers.erase("range");
    return honest(whole, content_);
  });
  const Result<Pulled> pulled = pull_from(server.url("/x.gguf"));
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  EXPECT_EQ(landed(), content_);
  EXPECT_EQ(server.seen().size(), 2U);
}

TEST_F(PullTest, AServerWithoutRangesThatAlwaysBreaksOffEnds) {
  LyingServer server([this](const Seen& seen) {
    Seen whole = seen;
    whole.headers.erase("range");
    Reply answer = honest(whole, content_);
    answer.bytes.resize(answer.bytes.size() / 2);
    answer.cut = true;
    return answer;
  });
  expect_refused(pull_from(server.url("/x.gguf")), Code::kUnavailable, "");
  EXPECT_EQ(server.seen().size(), 1U + static_cast<std::size_t>(kMaxTries));
}

TEST_F(PullTest, WrongBytesNeverLand) {
  LyingServer server([this](const Seen& seen) {
    std::string wrong = content_;
    wrong[500'000] = static_cast<char>(wrong[500'000] ^ 1);
    return honest(seen, wrong);
  });
  expect_refused(pull_from(server.url("/x.gguf")), Code::kDataLoss, "sha256");
  EXPECT_TRUE(is_clean()) << "which of the pieces is wrong nobody knows";
}

TEST_F(PullTest, AnEmptyFileNeverLands) {
  LyingServer server([](const Seen&) { return reply(200, {}, ""); });
  image_.sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";  // of nothing
  expect_refused(pull_from(server.url("/x.gguf")), Code::kUnavailable, "empty");
}

TEST_F(PullTest, WhatIsNoGgufNeverLandsUnderThatName) {
  const std::string page = "<html>please log in</html>";
  LyingServer server([&page](const Seen& seen) { return honest(seen, page); });
  image_.sha256 = sha256(page);
  expect_refused(pull_from(server.url("/x.gguf")), Code::kInvalidArgument, "GGUF");
  EXPECT_TRUE(is_clean());
}

// A lie in each header that says where and how much.
TEST_F(PullTest, LyingLengthsAndRangesAreNoticed) {
  const auto lie = [this](const std::map<std::string, std::string>& headers, std::size_t bytes) {
    return LyingServer::Handler([this, headers, bytes](const Seen& seen) {
      if (seen.headers.at("range") == "bytes=0-0") return honest(seen, content_);
      Reply answer = reply(206, headers, std::string_view(content_).substr(0, bytes));
      answer.cut = true;
      return answer;
    });
  };
  const std::string right = "bytes 0-99999/1050003";
  for (const auto& [headers, bytes] : std::vector<std::pair<std::map<std::string, std::string>, std::size_t>>{
           {{{"Content-Range", "bytes 1-100000/1050003"}}, 100'000},
           {{{"Content-Range", "bytes 0-99999/1050004"}}, 100'000},
           {{{"Content-Range", "bytes 0-99999/*"}}, 100'000},
           {{{"Content-Range", "bytes 0-1050002/1050003"}}, kContentBytes},
           {{}, 100'000},
           {{{"Content-Range", right}}, 100'001},
           {{{"Content-Range", right}}, 99'999},
           {{{"Content-Range", right}, {"Content-Length", "9223372036854775807"}}, 100'000},
           {{{"Content-Range", right}, {"Transfer-Encoding", "chunked"}}, 0}}) {
    std::map<std::string, std::string> sent = headers;
    LyingServer server(lie(sent, bytes));
    const Result<Pulled> pulled = pull_from(server.url("/x.gguf"));
    ASSERT_FALSE(pulled.has_value());
    EXPECT_TRUE(pulled.error().code == Code::kDataLoss || pulled.error().code == Code::kUnavailable)
        << pulled.error().message;
    EXPECT_FALSE(fs::exists(path()));
  }
}

TEST_F(PullTest, MoreThanAnnouncedIsNotWritten) {
  const std::string chunk = "186a2\r\n";  // 100,002 bytes where 100,000 were asked for
  LyingServer server([&](const Seen& seen) {
    if (seen.headers.at("range") == "bytes=0-0") return honest(seen, content_);
    return reply(206, {{"Content-Range", "bytes 0-99999/1050003"}, {"Transfer-Encoding", "chunked"}},
                 chunk + content_.substr(0, 100'002) + "\r\n0\r\n\r\n");
  });
  expect_refused(pull_from(server.url("/x.gguf")), Code::kDataLoss, "more than it announced");
}

TEST_F(PullTest, ABusyServerIsAskedAgain) {
  std::atomic<int> asked = 0;
  LyingServer server([&](const Seen& seen) {
    if (seen.headers.at("range") != "bytes=0-0" && ++asked <= 3) {
      return reply(asked == 2 ? 503 : 429, {{"Retry-After", "0"}}, "");
    }
    return honest(seen, content_);
  });
  const Result<Pulled> pulled = pull_from(server.url("/x.gguf"));
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  EXPECT_EQ(landed(), content_);
}

TEST_F(PullTest, AStatusIsSaidInWords) {
  for (const auto& [status, code] : std::vector<std::pair<int, Code>>{{401, Code::kPermissionDenied},
                                                                      {403, Code::kPermissionDenied},
                                                                      {404, Code::kNotFound},
                                                                      {410, Code::kNotFound},
                                                                      {416, Code::kDataLoss},
                                                                      {429, Code::kRateLimited},
                                                                      {500, Code::kUnavailable}}) {
    const int answer = status;
    LyingServer server([answer](const Seen&) { return reply(answer, {}, "no"); });
    expect_refused(pull_from(server.url("/x.gguf")), code, std::to_string(status));
  }
}

TEST_F(PullTest, RedirectsAreFollowedFiveTimesAndNotOnceMore) {
  LyingServer server([this](const Seen& seen) {
    const int left = seen.target.back() - '0';
    if (left == 0) return honest(seen, content_);
    return reply(302, {{"Location", "/r" + std::to_string(left - 1)}}, "");
  });
  const Result<Pulled> pulled = pull_from(server.url("/r5"));
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  EXPECT_EQ(landed(), content_);
  fs::remove(path());
  expect_refused(pull_from(server.url("/r6")), Code::kUnavailable, "redirects");
}

TEST_F(PullTest, ALoopOfRedirectsEnds) {
  LyingServer server([](const Seen& seen) { return reply(302, {{"Location", seen.target}}, ""); });
  expect_refused(pull_from(server.url("/x.gguf")), Code::kUnavailable, "redirects");
  EXPECT_EQ(server.seen().size(), 1U + static_cast<std::size_t>(kMaxRedirects));
}

// The SSRF set: where a source on an allowed host sends, nothing is connected to.
TEST_F(PullTest, ARedirectToWhereNobodyAllowedIsRefusedBeforeItIsConnectedTo) {
  LyingServer victim([this](const Seen& seen) { return honest(seen, content_); });
  for (const std::string& location :
       {"http://" + victim.authority() + "/secret", std::string("http://169.254.169.254/latest/meta-data/"),
        std::string("https://10.0.0.1/x"), std::string("http://localhost/x"), std::string("http://[::1]/x"),
        std::string("https://[::ffff:127.0.0.1]/x"), std::string("https://evil.example/x"),
        std::string("//evil.example/x"), std::string("http://2130706433/x"), std::string("http://0x7f.1/x"),
        std::string("http://huggingface.co@127.0.0.1/x"), std::string("ftp://huggingface.co/x"),
        std::string("file:///etc/passwd"), std::string("http://huggingface.co/x"),
        std::string("https://huggingface.co:22/x"), std::string("")}) {
    LyingServer server([&location](const Seen&) { return reply(302, {{"Location", location}}, ""); });
    const Result<Pulled> pulled = pull_from(server.url("/x.gguf"));
    ASSERT_FALSE(pulled.has_value()) << location;
    EXPECT_TRUE(pulled.error().code == Code::kPermissionDenied || pulled.error().code == Code::kInvalidArgument)
        << location << ": " << pulled.error().message;
  }
  EXPECT_TRUE(victim.seen().empty());
}

TEST_F(PullTest, AnAllowedHostMayBeSentTo) {
  LyingServer store([this](const Seen& seen) { return honest(seen, content_); });
  LyingServer server([&store](const Seen&) { return reply(307, {{"Location", store.url("/blob")}}, ""); });
  ASSERT_TRUE(options_.hosts.allow(store.authority()).has_value());
  const Result<Pulled> pulled = pull_from(server.url("/x.gguf"));
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  EXPECT_EQ(landed(), content_);
}

TEST_F(PullTest, AnAddressOfTheStoreThatHasExpiredIsAskedForAgain) {
  std::atomic<int> issued = 0;
  std::atomic<int> used = 0;
  LyingServer store([&](const Seen& seen) {
    const bool is_expired = seen.target != "/blob" + std::to_string(issued.load());
    if (is_expired || (++used % 4 == 0 && ++issued > 0)) return reply(403, {}, "expired");
    return honest(seen, content_);
  });
  LyingServer server([&](const Seen&) {
    return reply(302, {{"Location", store.url("/blob" + std::to_string(issued.load()))}}, "");
  });
  ASSERT_TRUE(options_.hosts.allow(store.authority()).has_value());
  options_.connections = 1;
  const Result<Pulled> pulled = pull_from(server.url("/x.gguf"));
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  EXPECT_EQ(landed(), content_);
  EXPECT_GT(issued, 1);
}

TEST_F(PullTest, WithoutASha256NothingIsFetched) {
  LyingServer server([this](const Seen& seen) { return honest(seen, content_); });
  image_.sha256.clear();
  expect_refused(pull_from(server.url("/x.gguf")), Code::kInvalidArgument, "--sha256");
}

// ---- hubs ----

class HubTest : public PullTest {
 protected:
  HubTest() {
    image_.sha256.clear();
    image_.huggingface = "Qwen/Test-GGUF";
    image_.modelscope = "Qwen/Test-GGUF";
    image_.hub_file = "Test-f16.gguf";
  }
  [[nodiscard]] std::map<std::string, std::string> linked() const {
    return {{"X-Linked-Etag", "\"" + sha256(content_) + "\""}, {"X-Linked-Size", std::to_string(content_.size())}};
  }
};

TEST_F(HubTest, TheHubsOwnSha256IsTaken) {
  LyingServer server([this](const Seen& seen) {
    if (!seen.target.starts_with("/hf/Qwen/Test-GGUF/resolve/main/Test-f16.gguf")) return reply(404, {}, "");
    return honest(seen, content_, linked());
  });
  const Result<Pulled> pulled = pull_from_hubs(server);
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  EXPECT_EQ(pulled->source, "huggingface");
  EXPECT_EQ(landed(), content_);
}

TEST_F(HubTest, TheOtherHubIsTakenWhereOneIsNotReached) {
  LyingServer server([this](const Seen& seen) {
    if (seen.target.starts_with("/hf")) return reply(503, {}, "");
    return honest(seen, content_, linked());
  });
  const Result<Pulled> pulled = pull_from_hubs(server);
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  EXPECT_EQ(pulled->source, "modelscope");
}

TEST_F(HubTest, BothReasonsAreSaidWhereNoneIsReached) {
  LyingServer server([](const Seen& seen) { return reply(seen.target.starts_with("/hf") ? 404 : 503, {}, ""); });
  const Result<Pulled> pulled = pull_from_hubs(server);
  ASSERT_FALSE(pulled.has_value());
  EXPECT_NE(pulled.error().message.find("404"), std::string::npos) << pulled.error().message;
  EXPECT_NE(pulled.error().message.find("503"), std::string::npos) << pulled.error().message;
}

TEST_F(HubTest, WithoutItsHeadersTheListIsRead) {
  image_.huggingface.clear();
  LyingServer server([this](const Seen& seen) {
    if (!seen.target.starts_with("/ms/api/")) return honest(seen, content_);
    return reply(
        200, {},
        R"({"Data":{"Files":[{"Path":"Test-f16.gguf","Size":1050003,"Sha256":")" + sha256(content_) + R"("}]}})");
  });
  const Result<Pulled> pulled = pull_from_hubs(server);
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  EXPECT_EQ(landed(), content_);
}

TEST_F(HubTest, AHubThatSaysAnotherSha256ThanTheGalleryIsNotBelieved) {
  image_.sha256 = std::string(64, '1');
  LyingServer server([this](const Seen& seen) { return honest(seen, content_, linked()); });
  expect_refused(pull_from_hubs(server), Code::kDataLoss, "another");
  EXPECT_EQ(server.count("GET"), 0U);
}

TEST_F(HubTest, AHubThatSaysAnotherSizeThanTheGalleryIsNotBelieved) {
  image_.bytes = 17;
  LyingServer server([this](const Seen& seen) { return honest(seen, content_, linked()); });
  expect_refused(pull_from_hubs(server), Code::kDataLoss, "17");
  EXPECT_EQ(server.count("GET"), 0U);
}

TEST_F(HubTest, TheSourceThatWasAskedForIsTheOnlyOne) {
  LyingServer server([this](const Seen& seen) { return honest(seen, content_, linked()); });
  options_.endpoints = {.huggingface = server.url("/hf"), .modelscope = server.url("/ms")};
  ASSERT_TRUE(options_.hosts.allow(server.authority()).has_value());
  const Result<Pulled> pulled = pull_from("modelscope");
  ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
  for (const Seen& seen : server.seen()) EXPECT_TRUE(seen.target.starts_with("/ms/")) << seen.target;
  fs::remove(path());
  image_.modelscope.clear();
  expect_refused(pull_from("modelscope"), Code::kInvalidArgument, "modelscope");
}

// ---- room, names, files of this machine ----

TEST_F(PullTest, AFileOfAnotherSizeUnderItsNameIsNotOverwritten) {
  fs::create_directories(directory_);
  std::ofstream(path()) << "mine";
  image_.bytes = 100;
  const Result<Pulled> pulled = pull_from("/nonexistent/x.gguf");
  ASSERT_FALSE(pulled.has_value());
  EXPECT_EQ(pulled.error().code, Code::kAlreadyExists);
  EXPECT_EQ(landed(), "mine");
}

TEST_F(PullTest, TooLargeForTheDiskIsSaidBeforeAByteIsFetched) {
  LyingServer server([](const Seen& seen) {
    return reply(206, {{"Content-Range", "bytes 0-0/900000000000000"}}, seen.method == "GET" ? "G" : "");
  });
  expect_refused(pull_from(server.url("/x.gguf")), Code::kTooLarge, "free");
  EXPECT_EQ(server.seen().size(), 1U);
}

TEST_F(PullTest, FilesOfThisMachineAreCopied) {
  const fs::path own = fs::temp_directory_path() / ("dormouse-own-" + random_hex(6) + ".gguf");
  std::ofstream(own, std::ios::binary) << content_;
  for (const std::string& source : {own.string(), "file://" + own.string(), "file://localhost" + own.string()}) {
    const Result<Pulled> pulled = pull_from(source);
    ASSERT_TRUE(pulled.has_value()) << pulled.error().message;
    EXPECT_EQ(pulled->how, Pulled::How::kCopied);
    EXPECT_EQ(landed(), content_);
    fs::remove(path());
  }
  image_.sha256 = std::string(64, '2');
  expect_refused(pull_from(own.string()), Code::kDataLoss, "sha256");
  image_.sha256.clear();
  std::ofstream(own, std::ios::binary) << "<html>";
  expect_refused(pull_from(own.string()), Code::kInvalidArgument, "GGUF");
  std::ofstream(own, std::ios::binary | std::ios::trunc).close();
  expect_refused(pull_from(own.string()), Code::kInvalidArgument, "empty");
  expect_refused(pull_from("/nonexistent/x.gguf"), Code::kNotFound, "/nonexistent");
  EXPECT_TRUE(fs::is_empty(directory_));
  fs::remove(own);
}

TEST_F(PullTest, WhatAServerFetchesItselfIsNotPulled) {
  image_.upstream = "Qwen/Qwen3-4B";
  image_.runtimes = {"vllm"};
  expect_refused(pull_from(""), Code::kInvalidArgument, "vllm");
}

TEST(PullSource, ItsLastPartIsTheName) {
  EXPECT_EQ(image_of_source("https://h/a/Model%20One.gguf?x=/y")->file, "Model One.gguf");
  EXPECT_EQ(image_of_source("./models/a.gguf")->file, "a.gguf");
  for (const char* const odd : {"https://h/", "https://h/..", "https://h/%2e%2e%2fetc", "https://h/a/.bashrc", "./"}) {
    EXPECT_FALSE(image_of_source(odd).has_value()) << odd;
  }
}

Task<void> fetch_through(http::Client& client, http::Address address, http::ClientRequest request, std::string& out) {
  auto response = co_await client.send(std::move(address), std::move(request));
  if (!response.has_value()) co_return;
  Result<std::string> body = co_await (*response)->read_all();
  if (body.has_value()) out = *std::move(body);
}

// What a name turns out to be is looked at before anything is connected to: no time for a second answer of the name
// server in between (rebinding).
TEST(PullAddress, OneThatIsRefusedIsNotConnectedTo) {
  LyingServer server([](const Seen& seen) { return honest(seen, "secret"); });
  asio::io_context io;
  http::Client client(io);
  http::Address address = http::Address::parse(server.authority()).value();
  address.host = "localhost";
  http::ClientRequest request;
  std::vector<std::string> asked;
  request.admit = [&asked](std::string_view ip) -> Status {
    asked.emplace_back(ip);
    return make_error(Code::kPermissionDenied, "not this one");
  };
  std::string body;
  asio::co_spawn(io, fetch_through(client, address, request, body), asio::detached);
  io.run();
  EXPECT_FALSE(asked.empty());
  for (const std::string& ip : asked) EXPECT_TRUE(http::is_loopback_address(ip)) << ip;
  EXPECT_EQ(body, "");
  EXPECT_EQ(server.connections(), 0U);
}

// A proxy's CONNECT: the name is resolved there, and what follows is the peer's. Without TLS, which nobody here could
// vouch for; the same connection carries it otherwise.
TEST(PullProxy, IsAskedToConnectAndThenPassesOn) {
  LyingServer proxy([](const Seen& seen) {
    if (seen.method == "CONNECT") return Reply{"HTTP/1.1 200 OK\r\n\r\n"};
    return honest(seen, "the peer's");
  });
  asio::io_context io;
  http::Client client(io);
  http::Address address;
  address.host = "nowhere.invalid";
  address.port = 8000;
  http::ClientRequest request;
  request.proxy = http::Proxy{http::Address::parse(proxy.authority()).value(), "Basic dTpw"};
  std::string body;
  asio::co_spawn(io, fetch_through(client, address, request, body), asio::detached);
  io.run();
  EXPECT_EQ(body, "the peer's");
  const std::vector<Seen> seen = proxy.seen();
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].target, "nowhere.invalid:8000");
  EXPECT_EQ(seen[0].headers.at("proxy-authorization"), "Basic dTpw");
  EXPECT_FALSE(seen[1].headers.contains("proxy-authorization")) << "the credential is the proxy's";
}

TEST_F(PullTest, AProxyThatRefusesIsNamed) {
  LyingServer proxy([](const Seen&) { return reply(407, {}, ""); });
  options_.proxies = Proxies::read([&proxy](const char* name) {
                       return std::string_view(name) == "https_proxy" ? "http://" + proxy.authority() : std::string();
                     }).value();
  expect_refused(pull_from("https://nowhere.invalid/x.gguf"), Code::kUnavailable, "HTTP 407");
}

}  // namespace
}  // namespace dormouse::catalog
