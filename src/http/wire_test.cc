// Goal: heads and chunked framing mean one thing or are refused. Method: tables of bytes and what must come of them;
// the decoder also gets every body cut at every place.
#include "http/wire.h"

#include <gtest/gtest.h>

#include <random>

namespace dormouse::http {
namespace {

struct HeadOutcome {
  int error_status = 0;  // 0: parsed
  RequestHead head;
};

HeadOutcome parse(std::string_view bytes) {
  std::size_t scanned = 0;
  const HeadLimits limits;
  const auto end = find_head_end(bytes, limits, scanned);
  if (!end) return {end.error().status, {}};
  if (*end == 0) return {-1, {}};
  auto head = parse_request_head(bytes.substr(0, *end), limits);
  if (!head) return {head.error().status, {}};
  return {0, *std::move(head)};
}

TEST(Wire, AnOrdinaryRequestIsReadWhole) {
  const HeadOutcome got = parse(
      "POST /v1/chat/completions?x=1&y=%20 HTTP/1.1\r\nHost: a:80\r\nContent-Length: 12\r\nX-Odd:\t v \r\n"
      "Expect: 100-Continue\r\n\r\n{\"a\":1}");
  ASSERT_EQ(got.error_status, 0);
  EXPECT_EQ(got.head.method, "POST");
  EXPECT_EQ(got.head.path, "/v1/chat/completions");
  EXPECT_EQ(got.head.query, "x=1&y=%20");
  EXPECT_EQ(got.head.headers.find("x-odd"), "v");
  EXPECT_EQ(got.head.body.kind, BodyLength::Kind::kFixed);
  EXPECT_EQ(got.head.body.bytes, 12U);
  EXPECT_TRUE(got.head.expect_continue);
  EXPECT_TRUE(got.head.keep_alive);
}

TEST(Wire, AHeadIsIncompleteAtEveryPlaceBeforeItsEnd) {
  const std::string head = "GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n";
  for (std::size_t size = 0; size < head.size(); ++size) {
    EXPECT_EQ(parse(head.substr(0, size)).error_status, -1) << size;
  }
  EXPECT_EQ(parse(head).error_status, 0);
}

TEST(Wire, ScanningInPiecesFindsTheSameEnd) {
  const std::string head = "GET /a HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n";
  std::size_t scanned = 0;
  for (std::size_t size = 1; size < head.size(); ++size) {
    EXPECT_EQ(find_head_end(std::string_view(head).substr(0, size), {}, scanned).value(), 0U);
  }
  EXPECT_EQ(find_head_end(head, {}, scanned).value(), head.size());
}

TEST(Wire, HttpOneZeroAndConnectionCloseEndTheConnection) {
  EXPECT_FALSE(parse("GET / HTTP/1.0\r\n\r\n").head.keep_alive);
  EXPECT_FALSE(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").head.keep_alive);
  EXPECT_FALSE(parse("GET / HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n").head.keep_alive);
  EXPECT_TRUE(parse("GET / HTTP/1.1\r\nHost: x\r\nConnection: closed\r\n\r\n").head.keep_alive);
}

struct PathCase {
  std::string_view raw;
  std::string_view want;  // empty: refused
};

TEST(Wire, PathsAreNormalisedOnceAndAHiddenSlashStaysHidden) {
  const PathCase cases[] = {
      {"/", "/"},
      {"//", "/"},
      {"/a//b", "/a/b"},
      {"///a", "/a"},
      {"/a/./b", "/a/b"},
      {"/a/../b", "/b"},
      {"/a/b/..", "/a/"},
      {"/a/.", "/a/"},
      {"/..", "/"},
      {"/../../etc/passwd", "/etc/passwd"},
      {"/%2e%2e/a", "/a"},
      {"/a/%2E%2e/%2e/b", "/b"},
      {"/a%2fb", "/a%2Fb"},
      {"/a%2Fb", "/a%2Fb"},
      {"/admin%2f..%2fv1", "/admin%2F..%2Fv1"},
      {"/%252e%252e/a", "/%2e%2e/a"},
      {"/a%20b", "/a b"},
      {"/%E7%9D%A1", "/睡"},
      {"/a/", "/a/"},
      {"/%41", "/A"},
      {"/a;b=c", "/a;b=c"},
      {"/a\\..\\b", "/a\\..\\b"},
      {"/...", "/..."},
      {"a", ""},
      {"", ""},
      {"/%", ""},
      {"/%4", ""},
      {"/%zz", ""},
      {"/%00", ""},
      {"/%0d%0aX", ""},
      {"/%7f", ""},
      {"/%ff", ""},
      {"/%c0%ae%c0%ae/", ""},
      {"/%ed%a0%80", ""},
      {"http://x/a", ""},
  };
  for (const PathCase& c : cases) {
    const auto got = normalise_path(c.raw);
    EXPECT_EQ(got.has_value(), !c.want.empty()) << c.raw;
    if (got) {
      EXPECT_EQ(*got, c.want) << c.raw;
      EXPECT_TRUE(got->find("//") == std::string::npos);
    }
  }
}

// Decodes in pieces of `step` bytes. Empty optional: refused.
std::optional<std::string> dechunk(std::string_view bytes, std::size_t step, std::size_t& used) {
  ChunkDecoder decoder;
  std::string out;
  used = 0;
  while (used < bytes.size() && !decoder.done()) {
    const auto took = decoder.push(bytes.substr(used, step), out, 1 << 20);
    if (!took) return std::nullopt;
    used += *took;
  }
  if (!decoder.done()) return "(incomplete)";
  return out;
}

TEST(Wire, ChunkedBodiesAreTheSameInWhateverPiecesTheyCome) {
  const std::string_view bytes =
      "5\r\nhello\r\n1;ext=\"v\"\r\n,\r\n00000006\r\n world\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nGET /";
  for (std::size_t step = 1; step <= bytes.size(); ++step) {
    std::size_t used = 0;
    EXPECT_EQ(dechunk(bytes, step, used), "hello, world0123456789") << step;
    EXPECT_EQ(bytes.substr(used), "GET /") << step;
  }
}

TEST(Wire, ChunkedFramingThatCouldBeReadTwoWaysIsRefused) {
  const std::string_view cases[] = {"-1\r\nx\r\n",
                                    "+5\r\nhello\r\n",
                                    "0x5\r\nhello\r\n",
                                    " 5\r\nhello\r\n",
                                    "5 \r\nhello\r\n",
                                    "\r\nhello\r\n",
                                    "5\nhello\r\n",
                                    "5\r\nhello\n0\r\n\r\n",
                                    "5\r\nhelloX\r\n0\r\n\r\n",
                                    "5\r\nhell\r\n0\r\n\r\n",
                                    "fffffffff\r\n",
                                    "00000000000000005\r\nhello\r\n",
                                    "g\r\n",
                                    ";x\r\n",
                                    "5;\x01\r\nhello\r\n",
                                    "5\rXhello\r\n",
                                    "0\r\nbad trailer\r\n\r\n",
                                    "0\r\n : x\r\n\r\n",
                                    "0\r\nA: \x01\r\n\r\n",
                                    "0\r\nA: b\n\r\n",
                                    "7fffffff\r\n",
                                    "5\r\nhello\r\n5\r\n",
                                    "ffffffff\r\n"};
  for (const std::string_view c : cases) {
    std::size_t used = 0;
    const auto got = dechunk(c, c.size(), used);
    EXPECT_TRUE(!got || *got == "(incomplete)") << c;
    std::size_t used_bytewise = 0;
    EXPECT_EQ(dechunk(c, 1, used_bytewise), got) << c;
  }
  std::size_t used = 0;
  EXPECT_FALSE(dechunk("5;" + std::string(300, 'e') + "\r\nhello\r\n0\r\n\r\n", 4096, used));
  EXPECT_FALSE(dechunk("0\r\n" + std::string(5000, 't') + ": x\r\n\r\n", 8192, used));
}

TEST(Wire, ABodyOverItsLimitIsRefusedByTheSizeOfItsChunkNotAfterIt) {
  ChunkDecoder decoder;
  std::string out;
  const auto got = decoder.push("400\r\n", out, 1000);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().status, 413);
}

TEST(Wire, AMillionChunksOfOneByteAreLinearWork) {
  std::string bytes;
  for (int i = 0; i < 1'000'000; ++i) bytes += "1\r\nx\r\n";
  bytes += kLastChunk;
  ChunkDecoder decoder;
  std::string out;
  ASSERT_TRUE(decoder.push(bytes, out, 2'000'000));
  EXPECT_TRUE(decoder.done());
  EXPECT_EQ(out.size(), 1'000'000U);
}

TEST(Wire, ResponsesOfOtherServersAreRead) {
  const HeadLimits limits;
  const auto chunked = parse_response_head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", limits);
  ASSERT_TRUE(chunked);
  EXPECT_EQ(chunked->body.kind, BodyLength::Kind::kChunked);
  EXPECT_TRUE(chunked->keep_alive);
  const auto to_end = parse_response_head("HTTP/1.0 200\r\n\r\n", limits);
  ASSERT_TRUE(to_end);
  EXPECT_EQ(to_end->body.kind, BodyLength::Kind::kUntilClose);
  EXPECT_FALSE(to_end->keep_alive);
  EXPECT_EQ(parse_response_head("HTTP/1.1 204 No Content\r\n\r\n", limits)->body.kind, BodyLength::Kind::kNone);
  for (const std::string_view bad :
       {"HTTP/2 200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"}) {
    EXPECT_FALSE(parse_response_head(bad, limits)) << bad;
  }
}

TEST(Wire, AFieldThatWouldBreakOutOfItsLineIsLeftOut) {
  Headers headers;
  headers.add("x-good", "v");
  headers.add("x-bad", "v\r\nset-cookie: stolen");
  headers.add("bad name", "v");
  const std::string head = format_response_head(200, headers, AfterAnswer::kClose);
  EXPECT_EQ(head, "HTTP/1.1 200 OK\r\nx-good: v\r\nconnection: close\r\n\r\n");
}

TEST(Wire, RandomDamageNeverCrashesAndNeverReadsTwoLengths) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random(seed);
  const std::string base =
      "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n";
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = base;
    const int edits = 1 + static_cast<int>(random() % 3);
    for (int e = 0; e < edits; ++e) bytes[random() % bytes.size()] = static_cast<char>(random() % 256);
    const HeadOutcome got = parse(bytes);
    if (got.error_status == 0) {
      EXPECT_FALSE(got.head.headers.find("content-length") && got.head.headers.find("transfer-encoding")) << bytes;
    }
  }
}

}  // namespace
}  // namespace dormouse::http
