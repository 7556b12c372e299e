#include "http/malformed_corpus_test.h"

#include <string>

namespace dormouse::http {

using namespace std::string_literals;

std::vector<MalformedCase> malformed_request_lines() {
  const std::string rest = " HTTP/1.1\r\nHost: x\r\n\r\n";
  return {
      {"GET /\r\n\r\n", 400},
      {"GET / HTTP/0.9\r\n\r\n", 400},
      {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 400},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
      {"GET / HTTP/1.2\r\nHost: x\r\n\r\n", 400},
      {"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400},
      {"GET / http/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {" GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"G@T /" + rest, 400},
      {std::string(40, 'M') + " /" + rest, 400},
      {"GET http://x/hello" + rest, 400},
      {"GET hello" + rest, 400},
      {"GET *" + rest, 400},
      {"CONNECT x:80" + rest, 400},
      {"GET /a b" + rest, 400},
      {"GET /#frag" + rest, 400},
      {"GET /%00" + rest, 400},
      {"GET /%zz" + rest, 400},
      {"GET /%" + rest, 400},
      {"GET /\x7f" + rest, 400},
      {"GET /\xff\xfe" + rest, 400},
      {"GET /%ff" + rest, 400},
      {"GET /" + std::string(5000, 'a') + rest, 414},
      {"GET /" + std::string(20000, 'a') + rest, 414},
      {"\r\n\r\nGET /hello" + rest, 400},
      {"\nGET /hello" + rest, 400},
      {"GET /a\0b"s + rest, 400},
      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s, 400},  // a TLS hello
      {"SSH-2.0-OpenSSH_9.2\r\n", 400},
      {"{\"prompt\":\"x\"}\n", 400},
  };
}

std::vector<MalformedCase> malformed_fields() {
  const std::string line = "GET /hello HTTP/1.1\r\n";
  std::string many = line + "Host: x\r\n";
  for (int i = 0; i < 150; ++i) many += "a: b\r\n";
  std::string endless = line + "Host: x\r\n";
  for (int i = 0; i < 20'000; ++i) endless += "abcdefgh: ijklmnop\r\n";
  return {
      {line + "\r\n", 400},
      {line + "Host: x\r\nHost: x\r\n\r\n", 400},
      {line + "Host: x\r\nhost: y\r\n\r\n", 400},
      {line + "Host: x/y\r\n\r\n", 400},
      {line + "Host: a@b\r\n\r\n", 400},
      {line + "Host: a,b\r\n\r\n", 400},
      {line + "Host: x\n\r\n", 400},
      {line + "Host: x\r\nA: b\n\n", 400},
      {line + "Host: x\r\nA: b\rC: d\r\n\r\n", 400},
      {line + "Host: x\r\nA: b\r\n folded\r\n\r\n", 400},
      {line + "Host: x\r\nA: b\r\n\tfolded\r\n\r\n", 400},
      {line + " Host: x\r\n\r\n", 400},
      {line + "Host: x\r\nA : b\r\n\r\n", 400},
      {line + "Host: x\r\n: b\r\n\r\n", 400},
      {line + "Host: x\r\nnocolon\r\n\r\n", 400},
      {line + "Host: x\r\nA(): b\r\n\r\n", 400},
      {line + "Host: x\r\nA: \x01\r\n\r\n", 400},
      {line + "Host: x\r\nA: \x7f\r\n\r\n", 400},
      {line + "Host: x\r\nA: b\0c\r\n\r\n"s, 400},
      {line + "Host: x\r\nA: \xff\xfe\r\n\r\n", 400},
      {line + "Host: x\r\nA: \xed\xa0\x80\r\n\r\n", 400},
      {line + "Host: x\r\nA: " + std::string(9000, 'v') + "\r\n\r\n", 431},
      {line + "Host: x\r\nA: " + std::string(20000, 'v') + "\r\n\r\n", 431},
      {line + "Host: x\r\nExpect: the-unexpected\r\n\r\n", 400},
      {many + "\r\n", 431},
      {endless + "\r\n", 431},
  };
}

std::vector<MalformedCase> ambiguous_framing() {
  const std::string post = "POST /echo HTTP/1.1\r\nHost: x\r\n";
  const std::string chunked = post + "Transfer-Encoding: chunked\r\n\r\n";
  return {
      {post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + kSmuggled, 400},
      {post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + kSmuggled, 400},
      {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + kSmuggled, 400},
      {post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + kSmuggled, 400},
      {post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + kSmuggled, 501},
      {post + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + kSmuggled, 501},
      {post + "Transfer-Encoding: identity\r\n\r\n" + kSmuggled, 501},
      {post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + kSmuggled, 501},
      {post + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n" + kSmuggled, 501},
      {post + "Transfer-Encoding:\r\n\r\n" + kSmuggled, 501},
      {post +
           "Transfer-Encoding: \x0b"
           "chunked\r\n\r\n0\r\n\r\n" +
           kSmuggled,
       400},
      {post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + kSmuggled, 400},
      {"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + kSmuggled, 400},
      {post + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx" + kSmuggled, 400},
      {post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy" + kSmuggled, 400},
      {post + "Content-Length: 1, 1\r\n\r\nx" + kSmuggled, 400},
      {post + "Content-Length: -1\r\n\r\n" + kSmuggled, 400},
      {post + "Content-Length: +1\r\n\r\nx" + kSmuggled, 400},
      {post + "Content-Length: 0x1\r\n\r\nx" + kSmuggled, 400},
      {post + "Content-Length: 1 \x01\r\n\r\nx" + kSmuggled, 400},
      {post + "Content-Length: 1 2\r\n\r\nx" + kSmuggled, 400},
      {post + "Content-Length: \r\n\r\n" + kSmuggled, 400},
      {post + "Content-Length: 99999999999999999999\r\n\r\n" + kSmuggled, 413},
      {post + "Content-Length: 18446744073709551615\r\n\r\n" + kSmuggled, 413},
      {post + "Content-Length: 9000000\r\n\r\n" + kSmuggled, 413},
      {chunked + "-1\r\nx\r\n0\r\n\r\n" + kSmuggled, 400},
      {chunked + "+1\r\nx\r\n0\r\n\r\n" + kSmuggled, 400},
      {chunked + "0x1\r\nx\r\n0\r\n\r\n" + kSmuggled, 400},
      {chunked + " 1\r\nx\r\n0\r\n\r\n" + kSmuggled, 400},
      {chunked + "1 \r\nx\r\n0\r\n\r\n" + kSmuggled, 400},
      {chunked + "1\nx\r\n0\r\n\r\n" + kSmuggled, 400},
      {chunked + "1\r\nx\n0\r\n\r\n" + kSmuggled, 400},
      {chunked + "1\r\nxy\r\n0\r\n\r\n" + kSmuggled, 400},
      {chunked + "10000000000000000\r\nx\r\n0\r\n\r\n" + kSmuggled, 400},
      {chunked + "ffffffff\r\nx\r\n0\r\n\r\n" + kSmuggled, 413},
      {chunked + "900000\r\nx" + kSmuggled, 413},
      {chunked + "0\r\nbad trailer\r\n\r\n" + kSmuggled, 400},
      {chunked + "0\r\nA: b\n\r\n" + kSmuggled, 400},
      {chunked + "1;" + std::string(1000, 'e') + "\r\nx\r\n0\r\n\r\n" + kSmuggled, 400},
  };
}

}  // namespace dormouse::http
