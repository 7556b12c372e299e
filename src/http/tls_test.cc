// Goal: what goes over TLS is what goes without it, and nobody but the pinned peer is spoken to. Method: the real
// server and client over loopback TCP, one loop, one coroutine a test.
#include "http/tls.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "http/client.h"
#include "http/server_fixture_test.h"
#include "http/tls_session.h"

namespace dormouse::http {
namespace {

using namespace std::chrono_literals;

const TlsIdentity& identity() {
  static const TlsIdentity kIdentity = make_tls_identity({"localhost", "127.0.0.1"}).value();
  return kIdentity;
}

Task<void> answer(Exchange& exchange) {
  const Request& request = exchange.request();
  if (request.path == "/ws") {
    auto socket = co_await exchange.upgrade();
    while (socket) {
      Result<std::string> text = co_await (*socket)->read();
      if (!text) co_return;
      std::string back = *std::move(text);
      const Status written = co_await (*socket)->write(std::move(back));
      if (!written) co_return;
    }
    co_return;
  }
  if (request.path == "/flood") {
    Headers headers;
    Status written = co_await exchange.start_stream(200, std::move(headers));
    while (written) {
      std::string piece(64 * 1024, 'f');
      written = co_await exchange.write(std::move(piece));
    }
    co_return;
  }
  Response response;
  response.body = request.body;
  co_await exchange.send(std::move(response));
}

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() : client_(io_) {
    ErrorBody error_body = [](int, std::string_view code) { return std::string(code); };
    ServerLimits limits;
    limits.header_deadline = 1s;
    limits.websocket_silence = 1s;
    server_ = std::make_unique<Server>(io_, limits, answer, std::move(error_body));
    address_ = server_->listen(Address::parse("127.0.0.1:0").value(), "tls", &identity()).value();
    address_.tls = TlsTrust{identity().fingerprint, {}};
  }
  // The server's loops go on for ever: the loop runs until the test's own coroutine has ended.
  void run(Task<void> task) {
    bool done = false;
    asio::co_spawn(io_, std::move(task), [&done](std::exception_ptr failure) {
      EXPECT_FALSE(failure);
      done = true;
    });
    while (!done && io_.run_one_for(30s) > 0) {
    }
    EXPECT_TRUE(done);
  }
  Task<void> post(Address address, std::string body, Result<std::string>& out) {
    ClientRequest request;
    request.method = "POST";
    request.target = "/echo";
    request.body = std::move(body);
    auto response = co_await client_.send(address, std::move(request));
    if (!response) {
      out = response.error();
      co_return;
    }
    out = co_await (*response)->read_all();
  }

  asio::io_context io_;
  std::unique_ptr<Server> server_;
  Client client_;
  Address address_;
};

TEST_F(TlsTest, BodiesOfEverySizeGoBothWaysOverOneConnection) {
  for (const std::size_t size : {0U, 1U, 16'383U, 16'384U, 16'385U, 100'000U, 4'000'000U}) {
    std::string body;
    for (std::size_t i = 0; i < size; ++i) body.push_back(static_cast<char>('a' + i % 23));
    Result<std::string> got;
    run(post(address_, body, got));
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_TRUE(*got == body) << size;
    EXPECT_EQ(server_->connections(), 1U) << "kept and used again";
  }
}

TEST_F(TlsTest, AnotherCertificateIsNotSpokenTo) {
  Address wrong = address_;
  wrong.tls->fingerprint = make_tls_identity({"localhost"}).value().fingerprint;
  Result<std::string> got;
  run(post(wrong, "secret", got));
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kUnauthenticated);
}

TEST_F(TlsTest, ANewIdentityIsForNewConnections) {
  Result<std::string> got;
  run(post(address_, "before", got));
  ASSERT_TRUE(got) << got.error().message;
  const TlsIdentity next = make_tls_identity({"localhost"}).value();
  TlsIdentity broken = next;
  broken.key_pem = identity().key_pem;
  EXPECT_EQ(server_->set_identity(broken).error().code, Code::kInvalidArgument);
  run(post(address_, "a pair that does not fit changes nothing", got));
  ASSERT_TRUE(got) << got.error().message;
  ASSERT_TRUE(server_->set_identity(next));
  run(post(address_, "the connection that stands goes on", got));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_EQ(server_->connections(), 1U);
  Address renewed = address_;
  renewed.tls->fingerprint = next.fingerprint;
  run(post(renewed, "after", got));
  ASSERT_TRUE(got) << got.error().message;
  Client fresh(io_);
  Result<std::unique_ptr<ClientResponse>> refused = make_error(Code::kInternal, "not run");
  run([](Client& client, Address address, Result<std::unique_ptr<ClientResponse>>& out) -> Task<void> {
    ClientRequest wish;
    out = co_await client.send(std::move(address), std::move(wish));
  }(fresh, address_, refused));
  ASSERT_FALSE(refused.has_value()) << "the old certificate is not shown any more";
  EXPECT_EQ(refused.error().code, Code::kUnauthenticated);
}

TEST_F(TlsTest, ACaFileTrustsItsCertificatesForTheirNamesOnly) {
  std::string name = "/tmp/tls_XXXXXX";
  ASSERT_NE(::mkdtemp(name.data()), nullptr);
  std::ofstream(name + "/ca.pem") << identity().certificate_pem;
  std::ofstream(name + "/other.pem") << make_tls_identity({"localhost"}).value().certificate_pem;
  Address address = address_;
  address.tls = TlsTrust{{}, name + "/ca.pem"};
  Result<std::string> got;
  run(post(address, "by address", got));
  EXPECT_TRUE(got.has_value() && *got == "by address") << got.error().message;
  address.host = "localhost";
  run(post(address, "by name", got));
  EXPECT_TRUE(got.has_value() && *got == "by name");
  address.host = "127.0.0.2";  // reaches the same server, but is not in the certificate
  run(post(address, "x", got));
  EXPECT_FALSE(got.has_value());
  address.host = "127.0.0.1";
  address.tls->ca_file = name + "/other.pem";
  run(post(address, "x", got));
  EXPECT_FALSE(got.has_value());
  address.tls->ca_file = name + "/absent.pem";
  run(post(address, "x", got));
  EXPECT_EQ(got.error().code, Code::kInvalidArgument);
  std::filesystem::remove_all(name);
}

TEST_F(TlsTest, TheSystemsAuthoritiesAreTrustedForTheirNamesOnly) {
  std::string name = "/tmp/tls_XXXXXX";
  ASSERT_NE(::mkdtemp(name.data()), nullptr);
  const TlsIdentity elsewhere = make_tls_identity({"elsewhere.example"}).value();
  std::ofstream(name + "/system.pem") << identity().certificate_pem << elsewhere.certificate_pem;
  Address address = address_;
  address.host = "localhost";
  address.tls = TlsTrust{{}, {}, true};
  Result<std::string> got;
  run(post(address, "x", got));
  EXPECT_FALSE(got.has_value()) << "nobody the system knows has signed it";
  ASSERT_EQ(::setenv("SSL_CERT_FILE", (name + "/system.pem").c_str(), 1), 0);
  run(post(address, "by name", got));
  EXPECT_TRUE(got.has_value() && *got == "by name") << got.error().message;
  // Trusted, and for another name: who holds one good certificate is not everybody.
  Address other = server_->listen(Address::parse("127.0.0.1:0").value(), "elsewhere", &elsewhere).value();
  other.host = "localhost";
  other.tls = TlsTrust{{}, {}, true};
  run(post(other, "x", got));
  EXPECT_FALSE(got.has_value());
  ::unsetenv("SSL_CERT_FILE");
  address.tls->ca_file = "/both";
  run(post(address, "x", got));
  EXPECT_EQ(got.error().code, Code::kInvalidArgument);
  std::filesystem::remove_all(name);
}

TEST_F(TlsTest, PlainClientsAndSilentOnesAreCut) {
  Address plain = address_;
  plain.tls.reset();
  Result<std::string> got;
  run(post(plain, "hello", got));
  EXPECT_FALSE(got.has_value());
  RawClient silent(plain);
  while (server_->connections() == 0) io_.run_one_for(1s);
  while (server_->connections() > 0) ASSERT_GT(io_.run_one_for(5s), 0U) << "the handshake has a deadline";
}

Task<void> talk(asio::io_context& io, Address address, std::string& out) {
  auto socket = co_await connect_websocket(io, address, "/ws", {}, 5s, 1s);
  if (!socket) co_return;
  for (const std::size_t size : {1U, 20'000U, 900'000U}) {
    std::string text(size, 'w');
    const Status written = co_await (*socket)->write(std::move(text));
    if (!written) co_return;
    const Result<std::string> back = co_await (*socket)->read();
    out += back ? std::to_string(back->size()) + " " : back.error().message;
  }
}

TEST_F(TlsTest, AWebSocketGoesOverItToo) {
  std::string got;
  run(talk(io_, address_, got));
  EXPECT_EQ(got, "1 20000 900000 ");
}

Task<void> keep_quiet(asio::io_context& io, Address address, std::string& out) {
  auto socket = co_await connect_websocket(io, address, "/ws", {}, 5s, 600ms);
  if (!socket) co_return;
  asio::steady_timer timer(io, 3s);  // five times the silence
  timer.async_wait([&socket, &out](const boost::system::error_code&) {
    out = "alive";
    (*socket)->close();
  });
  const Result<std::string> text = co_await (*socket)->read();
  if (out.empty()) out = text ? "text" : text.error().message;
}

TEST_F(TlsTest, AQuietWebSocketIsKeptByItsPings) {
  std::string got;
  run(keep_quiet(io_, address_, got));
  EXPECT_EQ(got, "alive");
}

Task<void> read_some_of_flood(Client& client, Address address, std::size_t& bytes) {
  ClientRequest request;
  request.target = "/flood";
  auto response = co_await client.send(address, std::move(request));
  if (!response) co_return;
  while (bytes < 3'000'000) {
    const auto piece = co_await (*response)->read_some();
    if (!piece || !*piece) co_return;
    bytes += (*piece)->size();
  }
}

TEST_F(TlsTest, AStreamLeftInTheMiddleEndsTheServersSide) {
  std::size_t bytes = 0;
  run(read_some_of_flood(client_, address_, bytes));
  EXPECT_GE(bytes, 3'000'000U);
  while (server_->connections() > 0) ASSERT_GT(io_.run_one_for(5s), 0U);
}

TEST(TlsIdentity, IsKeptWithAKeyNobodyElseReads) {
  std::string name = "/tmp/tls_XXXXXX";
  ASSERT_NE(::mkdtemp(name.data()), nullptr);
  const std::string directory = name + "/tls";
  const TlsIdentity made = keep_tls_identity(directory, "worker", {"localhost"}).value();
  const TlsIdentity again = keep_tls_identity(directory, "worker", {"localhost"}).value();
  EXPECT_EQ(made.fingerprint, again.fingerprint);
  EXPECT_EQ(made.key_pem, again.key_pem);
  struct stat info {};
  ASSERT_EQ(::stat((directory + "/worker.key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  std::ofstream(directory + "/worker.key") << make_tls_identity({}).value().key_pem;
  EXPECT_EQ(keep_tls_identity(directory, "worker", {}).error().code, Code::kDataLoss);
  std::ofstream(directory + "/worker.crt") << "nonsense";
  EXPECT_EQ(keep_tls_identity(directory, "worker", {}).error().code, Code::kDataLoss);
  std::filesystem::remove_all(name);
}

std::string encrypted(const std::string& key_pem) {
  BIO* const in = BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size()));
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(in, nullptr, nullptr, nullptr);
  BIO* const out = BIO_new(BIO_s_mem());
  const std::string passphrase = "secret";
  EXPECT_EQ(
      PEM_write_bio_PrivateKey(out, key, EVP_aes_128_cbc(), reinterpret_cast<const unsigned char*>(passphrase.data()),
                               static_cast<int>(passphrase.size()), nullptr, nullptr),
      1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(in);
  BIO_free(out);
  EVP_PKEY_free(key);
  return text;
}

TEST(TlsIdentity, OthersFilesAreReadWithTheirChain) {
  std::string name = "/tmp/tls_XXXXXX";
  ASSERT_NE(::mkdtemp(name.data()), nullptr);
  const TlsIdentity leaf = make_tls_identity({"localhost"}).value();
  const std::string chain = make_tls_identity({}).value().certificate_pem;
  const auto load = [&](const std::string& certificate, const std::string& key) {
    std::ofstream(name + "/c.pem") << certificate;
    std::ofstream(name + "/k.pem") << key;
    return load_tls_identity(name + "/c.pem", name + "/k.pem");
  };
  const Result<TlsIdentity> whole = load(leaf.certificate_pem + "\n" + chain, leaf.key_pem);
  ASSERT_TRUE(whole.has_value()) << whole.error().message;
  EXPECT_EQ(whole->fingerprint, leaf.fingerprint);
  const std::shared_ptr<TlsContext> context = TlsContext::server(*whole).value();
  STACK_OF(X509)* sent = nullptr;
  ASSERT_EQ(SSL_CTX_get0_chain_certs(context->get(), &sent), 1);
  EXPECT_EQ(sk_X509_num(sent), 1) << "behind the first";
  const std::string half = chain.substr(0, chain.size() / 2);
  const std::string spoilt = chain.substr(0, 100) + "!!!!" + chain.substr(104);
  struct Row {
    const char* what;
    std::string certificate;
    std::string key;
  };
  for (const Row& row : {Row{"the key of another", leaf.certificate_pem, make_tls_identity({}).value().key_pem},
                         Row{"no key", leaf.certificate_pem, ""}, Row{"no certificate", "", leaf.key_pem},
                         Row{"the key where the certificate belongs", leaf.key_pem, leaf.key_pem},
                         Row{"the chain first", chain + leaf.certificate_pem, leaf.key_pem},
                         Row{"a chain cut short", leaf.certificate_pem + half, leaf.key_pem},
                         Row{"a spoilt chain", leaf.certificate_pem + spoilt, leaf.key_pem},
                         Row{"a passphrase nobody is there to type", leaf.certificate_pem, encrypted(leaf.key_pem)}}) {
    const Result<TlsIdentity> refused = load(row.certificate, row.key);
    ASSERT_FALSE(refused.has_value()) << row.what;
    EXPECT_EQ(refused.error().code, Code::kDataLoss) << row.what;
    EXPECT_EQ(refused.error().message.find("PRIVATE"), std::string::npos);
  }
  EXPECT_EQ(load_tls_identity(name + "/absent.pem", name + "/k.pem").error().code, Code::kNotFound);
  std::filesystem::remove_all(name);
}

TEST(TlsIdentity, BadNamesAndFingerprintsAreTypedErrors) {
  EXPECT_EQ(make_tls_identity({"not a name,DNS"}).error().code, Code::kInvalidArgument);
  const std::string good = identity().fingerprint;
  EXPECT_EQ(parse_fingerprint(good).value(), good);
  std::string upper = "sha256:";
  for (std::size_t i = 7; i < good.size(); ++i) upper.push_back(static_cast<char>(std::toupper(good[i])));
  EXPECT_EQ(parse_fingerprint(upper).value(), good);
  for (const std::string& bad :
       {std::string(), good.substr(7), good + "0", good.substr(0, 70), "sha256:" + std::string(64, 'g')}) {
    EXPECT_EQ(parse_fingerprint(bad).error().code, Code::kInvalidArgument) << bad;
  }
}

TEST(Bearer, OnlyTheWholeTokenWillDo) {
  const auto with = [](std::string_view value) {
    Headers headers;
    headers.set("authorization", value);
    return headers;
  };
  EXPECT_TRUE(has_bearer(with("Bearer abc"), "abc"));
  EXPECT_TRUE(has_bearer(with("bearer abc"), "abc"));
  for (const char* wrong : {"", "Bearer ", "Bearer ab", "Bearer abcd", "Bearer abd", "Basic abc", "abc"}) {
    EXPECT_FALSE(has_bearer(with(wrong), "abc")) << wrong;
  }
  EXPECT_FALSE(has_bearer(Headers{}, "abc"));
  EXPECT_FALSE(has_bearer(with("Bearer "), ""));
}

}  // namespace
}  // namespace dormouse::http
