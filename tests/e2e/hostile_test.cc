// Goal: `dormouse serve` among callers who hold connections, send slowly, stop reading, or send what is no HTTP: they
// are refused by the table and closed, they cost little, and everybody else is served (T-40..T-44). Method: the real
// program with its own limits and deadlines, a fake worker, raw sockets by the hundreds and thousands.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <fstream>
#include <future>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/file_limit.h"
#include "e2e/running_house.h"
#include "http/malformed_corpus_test.h"
#include "http/server_fixture_test.h"

namespace dormouse::e2e {
namespace {

using http::RawAnswer;
using http::RawClient;
using std::chrono::milliseconds;

constexpr const char* kLivez = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

HouseSetup house_of(std::vector<std::pair<std::string, std::string>> fakes) {
  HouseSetup setup;
  setup.fakes = std::move(fakes);
  return setup;
}

// What the process has of its own, in bytes. 0: no such process.
std::int64_t anonymous_bytes(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  std::string line;
  while (std::getline(file, line)) {
    if (!line.starts_with("RssAnon:")) continue;
    const std::size_t digits = line.find_first_of("0123456789");
    std::int64_t kib = 0;
    std::from_chars(line.data() + digits, line.data() + line.size(), kib);
    return kib * 1024;
  }
  return 0;
}

double seconds_since(MonoTime begin) {
  return std::chrono::duration<double>(SystemClock().now() - begin).count();
}

// Answers that stream while the test does something else.
class Streams {
 public:
  Streams(const http::Address& address, std::size_t count, const std::string& model) {
    std::vector<Wish> wishes(count);
    for (Wish& wish : wishes) {
      wish.method = "POST";
      wish.target = "/generate";
      wish.body = fmt::format(R"({{"model":"{}","prompt":"x","stream":true}})", model);
      wish.on_piece = [this, spoke = false](const std::string& piece) mutable {
        if (!spoke && piece.find("data:") != std::string::npos) {
          spoke = true;
          ++speaking_;
        }
        return true;
      };
    }
    answers_ = std::async(std::launch::async, ask_all_of, address, std::move(wishes));
  }
  [[nodiscard]] std::size_t speaking() const { return speaking_; }
  [[nodiscard]] bool over() const { return answers_.wait_for(milliseconds(0)) == std::future_status::ready; }
  std::vector<Answer> finish() { return answers_.get(); }

 private:
  std::atomic<std::size_t> speaking_{0};
  std::future<std::vector<Answer>> answers_;
};

// 200 tokens at 20 a second: longer than the connections take to open.
TEST(Hostile, TenThousandIdleConnectionsAreCheapAndTheStreamsAmongThemEndWhole) {
  constexpr std::size_t kStreams = 64;
  constexpr std::size_t kTokens = 200;
  constexpr std::int64_t kMostBytesEach = 10 * 1024;
  RunningHouse house(house_of({{"demo", "tokens=200,tokens_per_s=20"}, {"quick", "tokens=2"}}));
  ASSERT_TRUE(house.is_up()) << house.log();
  ASSERT_EQ(house.post("/generate", R"({"model":"quick","prompt":"x"})").status, 200);
  const std::size_t files = raise_file_limit(16'384);
  const std::size_t count = std::min<std::size_t>(10'000, files / 10 * 8 - 2 * kStreams);
  ASSERT_GE(count, 2'000U) << "at least 2,700 files a process (ulimit -Hn) are needed";
  Streams streams(house.address(), kStreams, "demo");
  ASSERT_TRUE(house.eventually(milliseconds(10'000), [&] { return streams.speaking() == kStreams; }));

  const std::int64_t before = anonymous_bytes(house.pid());
  const MonoTime begin = SystemClock().now();
  std::vector<RawClient> idle;
  idle.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    idle.emplace_back(house.address());
    ASSERT_TRUE(idle.back().send(kLivez)) << i;
    ASSERT_EQ(idle.back().read_answer().status, 200) << i;
  }
  const double opened_s = seconds_since(begin);
  const std::int64_t each = (anonymous_bytes(house.pid()) - before) / static_cast<std::int64_t>(count);
  EXPECT_GE(house.metric("dormouse_connections"), static_cast<std::int64_t>(count));
  const MonoTime asked = SystemClock().now();
  EXPECT_EQ(house.post("/generate", R"({"model":"quick","prompt":"x"})").status, 200);
  fmt::print("{} idle connections, opened in {:.1f} s: {} bytes of RssAnon each; a new request among them {:.1f} ms\n",
             count, opened_s, each, seconds_since(asked) * 1'000);
  EXPECT_FALSE(streams.over()) << "they were to run all the while";
  if (can_judge_memory()) {
    EXPECT_LE(each, kMostBytesEach);
  }
  for (const Answer& answer : streams.finish()) {
    EXPECT_TRUE(answer.whole);
    const std::vector<std::string> events = sse_events(answer.body);
    ASSERT_EQ(events.size(), kTokens + 2) << answer.body.substr(0, 300);  // the numbers, [DONE]
    EXPECT_EQ(events.back(), "[DONE]");
  }
  // None was closed to make room.
  for (RawClient& client : idle) {
    pollfd end{client.fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&end, 1, 0), 0);
  }
}

// More than there is room for: ServerLimits::connections is 12,000.
TEST(Hostile, WhoeverHoldsAllConnectionsKeepsNobodyOut) {
  constexpr std::size_t kRoom = 12'000;
  if (raise_file_limit(16'384) < 16'384) GTEST_SKIP() << "16,384 files a process (ulimit -Hn) are needed";
  RunningHouse house(house_of({{"demo", "tokens=40,tokens_per_s=20"}, {"quick", "tokens=2"}}));
  ASSERT_TRUE(house.is_up()) << house.log();
  Streams streams(house.address(), 8, "demo");
  ASSERT_TRUE(house.eventually(milliseconds(10'000), [&] { return streams.speaking() == 8; }));
  std::vector<RawClient> hoard;
  hoard.reserve(kRoom + 500);
  for (std::size_t i = 0; i < kRoom + 500; ++i) {
    hoard.emplace_back(house.address());
    // Every other one is idle, the rest send half a request.
    ASSERT_TRUE(hoard.back().send(i % 2 == 0 ? kLivez : "GET /livez HTTP/1.1\r\n")) << i;
  }
  EXPECT_EQ(house.post("/generate", R"({"model":"quick","prompt":"x"})").status, 200);
  EXPECT_LE(house.metric("dormouse_connections"), static_cast<std::int64_t>(kRoom) + 10) << "and the admin socket's";
  EXPECT_EQ(hoard.front().read_answer().status, 200);
  EXPECT_EQ(hoard.front().read_to_end(), "") << "the oldest idle one made room";
  for (const Answer& answer : streams.finish()) EXPECT_EQ(sse_events(answer.body).back(), "[DONE]");
}

// A caller who sends a byte now and then.
struct Slow {
  RawClient client;
  std::string got;
  double ended_s = 0;  // 0: it goes on
};

// Reads what has come, until nothing does for `wait`.
void listen_to(std::vector<Slow>& callers, MonoTime begin, milliseconds wait) {
  std::vector<pollfd> polled;
  std::vector<Slow*> behind;
  for (Slow& caller : callers) {
    if (caller.ended_s > 0) continue;
    polled.push_back({caller.client.fd(), POLLIN, 0});
    behind.push_back(&caller);
  }
  ::poll(polled.data(), polled.size(), static_cast<int>(wait.count()));
  for (std::size_t i = 0; i < polled.size(); ++i) {
    if (polled[i].revents == 0) continue;
    behind[i]->got = behind[i]->client.read_to_end().value_or("");
    behind[i]->ended_s = seconds_since(begin);
  }
}

// Of the design: a header has 10 s altogether, a body must bring 1 KiB a second after 10 s.
TEST(Hostile, SlowSendersGet408AfterTenSecondsAndOthersAreServedMeanwhile) {
  constexpr std::size_t kHeaders = 400;
  constexpr std::size_t kBodies = 200;
  RunningHouse house(house_of({{"demo", "tokens=2"}}));
  ASSERT_TRUE(house.is_up()) << house.log();
  ASSERT_EQ(house.post("/generate", R"({"prompt":"x"})").status, 200);
  raise_file_limit(16'384);
  const MonoTime begin = SystemClock().now();
  std::vector<Slow> callers;
  for (std::size_t i = 0; i < kHeaders + kBodies; ++i) {
    callers.push_back({RawClient(house.address()), {}, 0});
    callers.back().client.send(i < kHeaders
                                   ? "POST /generate HTTP/1.1\r\nHost: localhost\r\nA: "
                                   : "POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\n{");
  }
  std::vector<double> served_ms;
  const auto goes_on = [](const Slow& caller) { return caller.ended_s == 0; };
  while (std::any_of(callers.begin(), callers.end(), goes_on) && seconds_since(begin) < 20) {
    for (Slow& caller : callers) {
      if (goes_on(caller)) caller.client.send(" ");
    }
    listen_to(callers, begin, milliseconds(200));
    const MonoTime asked = SystemClock().now();
    EXPECT_EQ(house.post("/generate", R"({"prompt":"x"})").status, 200);
    served_ms.push_back(seconds_since(asked) * 1'000);
  }
  for (const Slow& caller : callers) {
    ASSERT_TRUE(caller.got.starts_with("HTTP/1.1 408 ")) << caller.got;
    ASSERT_EQ(http::count_answers(caller.got), 1);
    ASSERT_NE(caller.got.find("\"code\":\"request_timeout\""), std::string::npos) << caller.got;
    ASSERT_GE(caller.ended_s, 9.5);
  }
  std::sort(served_ms.begin(), served_ms.end());
  fmt::print("{} slow headers and {} slow bodies: {} others served meanwhile, median {:.1f} ms, most {:.1f} ms\n",
             kHeaders, kBodies, served_ms.size(), served_ms[served_ms.size() / 2], served_ms.back());
  EXPECT_EQ(house.rows().size(), served_ms.size() + 1) << "no slow one became a request";
}

// Each answer is some 25 MB as events, of which nobody reads a byte; R-23 allows 256 KiB a connection.
TEST(Hostile, ReadersWhoStopHoldLittleAndDelayNobody) {
  constexpr std::size_t kReaders = 50;
  constexpr std::int64_t kMostBytesEach = 256 * 1024;
  RunningHouse house(house_of({{"long", "tokens=100000,context=200000"}, {"demo", "tokens=2"}}));
  ASSERT_TRUE(house.is_up()) << house.log();
  ASSERT_EQ(house.post("/generate", R"({"model":"demo","prompt":"x"})").status, 200);
  ASSERT_EQ(house.post("/generate", R"({"model":"long","prompt":"x","max_tokens":1})").status, 200);
  const std::int64_t before = anonymous_bytes(house.pid());
  const std::string body = R"({"model":"long","prompt":"x","stream":true})";
  std::vector<RawClient> readers;
  for (std::size_t i = 0; i < kReaders; ++i) {
    readers.emplace_back(house.address(), 4'096);
    readers.back().send(
        fmt::format("POST /generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", body.size(), body));
  }
  for (RawClient& reader : readers) {
    pollfd first{reader.fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&first, 1, 10'000), 1) << "it is answered";
  }
  // Where nothing more can be written the worker's count of tokens stands still, which it tells now and then.
  std::int64_t written = 0;
  MonoTime grew = SystemClock().now();
  EXPECT_TRUE(house.eventually(milliseconds(20'000), [&] {
    const std::vector<gateway::InstanceView> instances = house.deployment("long").instances;
    EXPECT_EQ(house.post("/generate", R"({"model":"demo","prompt":"x"})").status, 200);
    const std::int64_t now = instances.empty() ? 0 : instances.front().generated_tokens;
    if (std::exchange(written, now) != now) grew = SystemClock().now();
    return written > 1 && seconds_since(grew) > 2;
  }));
  const std::int64_t each = (anonymous_bytes(house.pid()) - before) / static_cast<std::int64_t>(kReaders);
  fmt::print("{} readers who stopped: {} bytes of RssAnon each, {} tokens written to all\n", kReaders, each, written);
  if (can_judge_memory()) {
    EXPECT_LE(each, kMostBytesEach);
  }
  readers.clear();
  EXPECT_TRUE(house.eventually(milliseconds(10'000), [&] {
    for (const gateway::InstanceView& instance : house.deployment("long").instances) {
      if (instance.running > 0) return false;
    }
    return true;
  })) << "who leaves is noticed";
}

// The error's code by its status, of those a server gives on its own.
const char* code_of(int status) {
  if (status == 413) return "body_too_large";
  if (status == 414) return "uri_too_long";
  if (status == 431) return "headers_too_large";
  if (status == 501) return "not_implemented";
  return "";  // 400: malformed_request or invalid_utf8
}

TEST(Hostile, WhatIsNoHttpGetsOneAnswerByTheTableAndNothingBehindItIsServed) {
  RunningHouse house(house_of({{"demo", "tokens=2"}}));
  ASSERT_TRUE(house.is_up()) << house.log();
  const pid_t pid = house.pid();
  std::vector<http::MalformedCase> corpus = http::malformed_request_lines();
  for (const auto& more : {http::malformed_fields(), http::ambiguous_framing()}) {
    corpus.insert(corpus.end(), more.begin(), more.end());
  }
  for (const http::MalformedCase& c : corpus) {
    RawClient client(house.address());
    client.send(c.bytes);
    client.shutdown_send();
    const std::string got = client.read_to_end().value_or("it stays open");
    const std::string shown = c.bytes.substr(0, 90) + "\n" + got;
    ASSERT_TRUE(got.starts_with(fmt::format("HTTP/1.1 {} ", c.status))) << shown;
    EXPECT_EQ(http::count_answers(got), 1) << shown;
    EXPECT_NE(got.find("connection: close"), std::string::npos) << shown;
    EXPECT_NE(got.find("x-request-id: "), std::string::npos) << shown;
    EXPECT_NE(got.find(fmt::format("\"code\":\"{}", code_of(c.status))), std::string::npos) << shown;
    ASSERT_EQ(house.get("/livez").status, 200) << shown;
  }
  EXPECT_EQ(house.pid(), pid);
  EXPECT_TRUE(house.rows().empty());
  fmt::print("{} malformed requests\n", corpus.size());
}

// Sends until it is refused, at most 64 MiB; the status of the answer, 0 if the connection was reset over it.
int status_of_flood(const http::Address& address, const std::string& begin, const std::string& piece) {
  constexpr std::size_t kMost = 64U << 20;
  RawClient client(address);
  client.send(begin);
  for (std::size_t sent = 0; sent < kMost && client.send(piece); sent += piece.size()) {
    pollfd answered{client.fd(), POLLIN, 0};
    if (::poll(&answered, 1, 0) == 1) break;
  }
  return client.read_answer().status;
}

TEST(Hostile, WhatIsTooLargeIsRefusedBeforeItIsKept) {
  RunningHouse house(house_of({{"demo", "tokens=2"}}));
  ASSERT_TRUE(house.is_up()) << house.log();
  const std::string line = "GET /livez HTTP/1.1\r\nHost: localhost\r\n";
  const std::string post = "POST /generate HTTP/1.1\r\nHost: localhost\r\n";
  struct Row {
    const char* what;
    std::string begin;
    std::string piece;
    int status;
    std::int64_t most_bytes;  // of growth
  };
  // Of 640 MB that were sent: what the allocator and the log move by, and a body of 8 MiB in a string that doubles.
  constexpr std::int64_t kHead = 256 * 1024;
  constexpr std::int64_t kBody = 32 << 20;
  const std::vector<Row> rows{
      {"endless header fields", line, std::string(8'000, 'a') + ": b\r\n", 431, kHead},
      {"100,000 header fields", line, "a: b\r\n", 431, kHead},
      {"one endless header field", line + "A: ", std::string(100'000, 'v'), 431, kHead},
      {"an endless target", "GET /", std::string(1'000'000, 'a'), 414, kHead},
      {"a body of 64 MiB, announced", post + "Content-Length: 67108864\r\n\r\n", std::string(65'536, ' '), 413, kHead},
      {"a body of 64 MiB, in chunks", post + "Transfer-Encoding: chunked\r\n\r\n",
       "10000\r\n" + std::string(65'536, ' ') + "\r\n", 413, kBody},
      {"an endless chunk extension", post + "Transfer-Encoding: chunked\r\n\r\n1;", std::string(65'536, 'e'), 400,
       kHead},
  };
  for (const Row& row : rows) {
    ASSERT_EQ(status_of_flood(house.address(), row.begin, row.piece), row.status) << row.what;  // warm
    const std::int64_t before = anonymous_bytes(house.pid());
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(status_of_flood(house.address(), row.begin, row.piece), row.status) << row.what;
      ASSERT_EQ(house.get("/livez").status, 200) << row.what;
    }
    const std::int64_t grown = anonymous_bytes(house.pid()) - before;
    fmt::print("{}, ten times: RssAnon {:+} bytes\n", row.what, grown);
    if (can_judge_memory()) {
      EXPECT_LE(grown, row.most_bytes) << row.what;
    }
  }
}

}  // namespace
}  // namespace dormouse::e2e
