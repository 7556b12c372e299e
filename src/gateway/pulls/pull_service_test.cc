// Goal: downloads run one at a time and in order, stop when told, go on where they stopped, say why they fail, and
// leave no thread behind. Method: the service with real pulls from a hub on this machine that stands still where a test
// wants to look.
#include "gateway/pulls/pull_service.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>

#include "base/ids.h"
#include "base/log.h"
#include "catalog/pull_part.h"
#include "fleet/fleet_fixture.h"
#include "gateway/pulls/hub_fixture_test.h"

namespace dormouse::gateway {
namespace {

namespace fs = std::filesystem;
using State = PullView::State;

constexpr std::int64_t kPieceBytes = 100'000;
constexpr std::size_t kContentBytes = 550'003;  // five pieces and a half

std::ptrdiff_t threads() {
  return std::distance(fs::directory_iterator("/proc/self/task"), fs::directory_iterator());
}

class PullServiceTest : public testing::Test {
 protected:
  PullServiceTest() : directory_(fs::temp_directory_path() / ("dormouse-pulls-" + random_hex(6))) {
    set_log_level(LogLevel::kError);
    make_service();
  }
  ~PullServiceTest() override {
    service_.reset();
    std::error_code ec;
    fs::remove_all(directory_, ec);
  }

  void make_service() {
    PullServiceOptions options;
    options.directories = {directory_.string()};
    options.pull_options = [this] { return options_; };
    service_.emplace(io_, clock_, std::move(options));
  }
  void use(const std::string& url) {
    catalog::PullOptions options;
    options.endpoints = {.huggingface = url, .modelscope = url};
    EXPECT_TRUE(options.hosts.allow(url).has_value());
    options.piece_bytes = kPieceBytes;
    options.connections = 1;
    options.retry_delay = std::chrono::milliseconds(1);
    options_ = options;
  }
  [[nodiscard]] static catalog::Image image(const std::string& name) {
    catalog::Image out;
    out.name = name;
    out.tag = "q8_0";
    out.file = name + ".gguf";
    out.runtimes = {"builtin"};
    out.huggingface = "Acme/" + name;
    return out;
  }
  void start(const std::string& name) {
    const Status started = service_->start(image(name), "");
    ASSERT_TRUE(started.has_value()) << started.error().message;
  }
  [[nodiscard]] std::optional<PullView> view(const std::string& name) const {
    const std::vector<PullView> views = service_->views();
    const PullView* const found = find_pull(views, name + ":q8_0");
    return found != nullptr ? std::optional<PullView>(*found) : std::nullopt;
  }
  bool reaches(const std::string& name, std::int64_t bytes) {
    return fleet::run_until(io_, [&] { return view(name).has_value() && view(name)->progress.done >= bytes; });
  }
  bool ends(const std::string& name) {
    return fleet::run_until(io_, [&] {
      const std::optional<PullView> now = view(name);
      return !now.has_value() || now->state == State::kFailed || now->state == State::kCancelled;
    });
  }
  [[nodiscard]] std::string landed(const std::string& name) const {
    std::ifstream file(directory_ / (name + ".gguf"), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  const fs::path directory_;
  const SystemClock clock_;
  asio::io_context io_{1};
  Result<catalog::PullOptions> options_ = make_error(Code::kInvalidArgument, "HTTPS_PROXY: no proxy");
  std::optional<PullService> service_;
};

TEST_F(PullServiceTest, OneAtATimeAndTheOthersInTheOrderTheyWereAskedFor) {
  const std::string a = gguf_of(kContentBytes, 1);
  const std::string c = gguf_of(kContentBytes, 3);
  GatedHub hub({{"Acme/a", a}, {"Acme/b", gguf_of(kContentBytes, 2)}, {"Acme/c", c}});
  use(hub.url());
  hub.let(2);
  for (const char* name : {"a", "b", "c"}) start(name);
  ASSERT_TRUE(reaches("a", 2 * kPieceBytes));
  EXPECT_EQ(view("a")->state, State::kRunning);
  EXPECT_EQ(view("a")->progress.total, static_cast<std::int64_t>(kContentBytes));
  EXPECT_EQ(view("a")->progress.source, "huggingface");
  EXPECT_EQ(view("b")->state, State::kQueued);
  start("a");
  start("c");
  EXPECT_EQ(service_->views().size(), 3U) << "the same pull";
  service_->cancel("b:q8_0");
  EXPECT_EQ(view("b")->state, State::kCancelled);
  EXPECT_EQ(hub.asked_from("Acme/c", 0), 0) << "it waits";
  hub.open();
  ASSERT_TRUE(ends("a"));
  ASSERT_TRUE(ends("c"));
  EXPECT_EQ(landed("a"), a);
  EXPECT_EQ(landed("c"), c);
  EXPECT_TRUE(service_->is_present(image("a")));
  EXPECT_FALSE(service_->is_present(image("b")));
  ASSERT_EQ(service_->views().size(), 1U) << "what has come is no more under way";
  EXPECT_EQ(hub.asked_from("Acme/b", 0), 0);
}

TEST_F(PullServiceTest, ACancelledOneGoesOnWhereItStopped) {
  const std::string content = gguf_of(kContentBytes);
  GatedHub hub({{"Acme/a", content}});
  use(hub.url());
  hub.let(3);
  start("a");
  ASSERT_TRUE(reaches("a", 3 * kPieceBytes));
  service_->cancel("a:q8_0");
  EXPECT_EQ(view("a")->state, State::kCancelled);
  EXPECT_EQ(view("a")->progress.done, 3 * kPieceBytes);
  start("a");  // while the first one is still ending
  EXPECT_EQ(view("a")->state, State::kQueued);
  hub.open();
  ASSERT_TRUE(ends("a"));
  EXPECT_EQ(view("a"), std::nullopt);
  EXPECT_EQ(landed("a"), content);
  EXPECT_EQ(hub.asked_from("Acme/a", 0), 1) << "what came was not fetched again";
  service_->cancel("a:q8_0");
  EXPECT_TRUE(service_->views().empty()) << "nothing to cancel";
}

TEST_F(PullServiceTest, TheServersEndKeepsThePartForTheNextOne) {
  const std::string content = gguf_of(kContentBytes);
  GatedHub hub({{"Acme/a", content}});
  use(hub.url());
  hub.let(2);
  start("a");
  ASSERT_TRUE(reaches("a", 2 * kPieceBytes));
  service_->stop();
  const Status late = service_->start(image("b"), "");
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, Code::kCancelled);
  service_.reset();
  EXPECT_EQ(catalog::PartFile::kept_bytes((directory_ / "a.gguf").string()), 2 * kPieceBytes);
  make_service();
  hub.open();
  start("a");
  ASSERT_TRUE(ends("a"));
  EXPECT_EQ(landed("a"), content);
  EXPECT_EQ(hub.asked_from("Acme/a", 0), 1);
}

TEST_F(PullServiceTest, NoThreadStaysWhenNothingIsPulled) {
  const std::ptrdiff_t before = threads();
  {
    GatedHub hub({{"Acme/a", gguf_of(kContentBytes)}});
    use(hub.url());
    hub.let(1);
    start("a");
    ASSERT_TRUE(reaches("a", kPieceBytes));
    EXPECT_GT(threads(), before);
    hub.open();
    ASSERT_TRUE(ends("a"));
  }
  EXPECT_EQ(threads(), before);
}

TEST_F(PullServiceTest, WhyItFailedIsARowOfTheTableAndASentence) {
  const std::string content = gguf_of(kContentBytes);
  struct Row {
    const char* name;
    api::ErrorCode code;
    catalog::LyingServer::Handler handler;
  };
  const auto linked = [&content](std::size_t bytes) {
    return std::map<std::string, std::string>{{"X-Linked-Etag", "\"" + sha256_of_text(content) + "\""},
                                              {"X-Linked-Size", std::to_string(bytes)}};
  };
  for (const Row& row :
       {Row{"away", api::ErrorCode::kSourceUnreachable,
            [](const catalog::Seen&) { return catalog::reply(503, {}, ""); }},
        Row{"unknown", api::ErrorCode::kSourceRefused,
            [](const catalog::Seen&) { return catalog::reply(404, {}, ""); }},
        Row{"gated", api::ErrorCode::kSourceRefused, [](const catalog::Seen&) { return catalog::reply(401, {}, ""); }},
        Row{"private", api::ErrorCode::kSourceRefused,
            [](const catalog::Seen&) {
              return catalog::reply(302, {{"Location", "https://169.254.169.254/x"}}, "");
            }},
        Row{"other", api::ErrorCode::kSourceMismatch,
            [&](const catalog::Seen& seen) { return honest(seen, gguf_of(kContentBytes, 7), linked(kContentBytes)); }},
        Row{"vast", api::ErrorCode::kDiskFull,
            [&](const catalog::Seen& seen) { return honest(seen, content, linked(std::size_t{1} << 49U)); }},
        Row{"unhashed", api::ErrorCode::kInvalidValue, [&](const catalog::Seen& seen) {
              const bool is_list = seen.target.starts_with("/api/");
              return is_list ? catalog::reply(200, {}, R"({"siblings":[{"rfilename":"unhashed.gguf","size":550003}]})")
                             : honest(seen, content);
            }}}) {
    catalog::LyingServer server(row.handler);
    use(server.url(""));
    start(row.name);
    ASSERT_TRUE(ends(row.name)) << row.name;
    const std::optional<PullView> now = view(row.name);
    ASSERT_TRUE(now.has_value() && now->failure.has_value()) << row.name;
    EXPECT_EQ(now->state, State::kFailed) << row.name;
    EXPECT_EQ(api::row(now->failure->error.code).code, api::row(row.code).code)
        << row.name << ": " << now->failure->detail;
    EXPECT_FALSE(now->failure->detail.empty()) << row.name;
    EXPECT_EQ(landed(row.name), "") << row.name;
  }
}

TEST_F(PullServiceTest, AnotherProgramsPullAndABadProxyAreSaidAndATryAgainIsAFreshStart) {
  const std::string content = gguf_of(kContentBytes);
  GatedHub hub({{"Acme/a", content}});
  hub.open();
  start("a");  // the environment has no good proxy
  ASSERT_TRUE(view("a").has_value() && view("a")->failure.has_value());
  EXPECT_EQ(view("a")->failure->error.code, api::ErrorCode::kInvalidValue);
  EXPECT_EQ(view("a")->failure->detail, "HTTPS_PROXY: no proxy");
  use(hub.url());
  {
    fs::create_directories(directory_);
    const std::string path = (directory_ / "a.gguf").string();
    const Result<catalog::PartFile> held =
        catalog::PartFile::open(path, static_cast<std::int64_t>(content.size()), sha256_of_text(content));
    ASSERT_TRUE(held.has_value());
    start("a");
    EXPECT_EQ(view("a")->failure.has_value(), false) << "an old reason is gone";
    ASSERT_TRUE(ends("a"));
    ASSERT_TRUE(view("a").has_value() && view("a")->failure.has_value());
    EXPECT_EQ(view("a")->failure->error.code, api::ErrorCode::kAlreadyExists);
  }
  start("a");
  ASSERT_TRUE(ends("a"));
  EXPECT_EQ(landed("a"), content);
}

TEST_F(PullServiceTest, WhatHasNoSourceIsRefusedAtOnce) {
  use("http://127.0.0.1:1");
  catalog::Image of_runtime = image("a");
  of_runtime.file.clear();
  of_runtime.upstream = "Qwen/Qwen3-4B";
  catalog::Image own_path = image("a");
  own_path.file = "/models/a.gguf";
  catalog::Image nowhere = image("a");
  nowhere.huggingface.clear();
  for (const catalog::Image& one : {of_runtime, own_path, nowhere}) {
    const Status refused = service_->start(one, "");
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, Code::kInvalidArgument);
  }
  const Status other_hub = service_->start(image("a"), "modelscope");
  ASSERT_FALSE(other_hub.has_value());
  EXPECT_TRUE(other_hub.error().message.starts_with("source: ")) << other_hub.error().message;
  EXPECT_TRUE(service_->views().empty());
}

}  // namespace
}  // namespace dormouse::gateway
