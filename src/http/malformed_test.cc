// Goal: malformed, ambiguous and oversized requests get one error answer or none, the connection closes, and nothing of
// them reaches the handler; never two answers for one request (T-43, T-44, S-51). Method: raw bytes to a real server,
// read to the end, count status lines and handler calls.
#include <gtest/gtest.h>

#include <vector>

#include "http/malformed_corpus_test.h"
#include "http/server_fixture_test.h"

namespace dormouse::http {
namespace {

void expect_refused(const std::vector<MalformedCase>& cases) {
  TestServer server;
  for (const MalformedCase& c : cases) {
    const std::string shown = c.bytes.substr(0, 90);
    RawClient client(server.address());
    client.send(c.bytes);
    client.shutdown_send();
    const std::optional<std::string> got = client.read_to_end();
    ASSERT_TRUE(got) << "connection stays open: " << shown;
    EXPECT_EQ(count_answers(*got), 1) << shown << "\n" << *got;
    const int status = got->size() > 12 ? std::stoi(got->substr(9, 3)) : 0;
    EXPECT_EQ(status, c.status) << shown << "\n" << *got;
    EXPECT_NE(got->find("connection: close"), std::string::npos) << shown;
    EXPECT_NE(got->find("{\"error\":{\"code\":\""), std::string::npos) << shown;
  }
  EXPECT_EQ(server.handled, 0);
  // And it still serves.
  RawClient client(server.address());
  client.send(kSmuggled);
  EXPECT_EQ(client.read_answer().status, 200);
}

TEST(Malformed, RequestLinesAreRefusedWithOneAnswer) {
  expect_refused(malformed_request_lines());
}
TEST(Malformed, HeaderFieldsAreRefusedWithOneAnswer) {
  expect_refused(malformed_fields());
}
TEST(Malformed, AmbiguousBodyLengthsAreRefusedAndNothingBehindThemIsServed) {
  expect_refused(ambiguous_framing());
}

// Found by tests/clients/generated.mjs: Node's client takes the body for the beginning of another answer.
TEST(Malformed, AHeadIsRefusedWithoutABody) {
  TestServer server;
  RawClient client(server.address());
  client.send("HEAD /%ff HTTP/1.1\r\nHost: x\r\n\r\n");
  client.shutdown_send();
  const std::optional<std::string> got = client.read_to_end();
  ASSERT_TRUE(got.has_value());
  EXPECT_TRUE(got->starts_with("HTTP/1.1 400 ")) << *got;
  EXPECT_TRUE(got->ends_with("\r\n\r\n")) << *got;
}

TEST(Malformed, TheCorpusHasItsSize) {
  EXPECT_GE(malformed_request_lines().size() + malformed_fields().size() + ambiguous_framing().size(), 90U);
}

TEST(Malformed, ARequestCutAnywhereGetsNoAnswerAndNoHandler) {
  TestServer server;
  const std::string whole = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  for (std::size_t size = 0; size < whole.size(); ++size) {
    RawClient client(server.address());
    client.send(std::string_view(whole).substr(0, size));
    client.shutdown_send();
    const auto got = client.read_to_end();
    ASSERT_TRUE(got) << size;
    EXPECT_EQ(*got, "") << size;
  }
  EXPECT_EQ(server.handled, 0);
}

}  // namespace
}  // namespace dormouse::http
