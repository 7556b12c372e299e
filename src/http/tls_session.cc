#include "http/tls_session.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <array>
#include <boost/asio/ip/address.hpp>
#include <cerrno>
#include <limits>

namespace dormouse::http {
namespace {

// The oldest error of OpenSSL's queue, which is the cause; the queue is empty afterwards.
std::string take_openssl_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "connection broken by the peer";
  const char* const reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "unknown TLS error";
}

int socket_of(BIO* bio) {
  int fd = -1;
  BIO_get_fd(bio, &fd);
  return fd;
}

// OpenSSL's own socket BIO writes without MSG_NOSIGNAL and blocks when the socket does; ours does neither.
int bio_read(BIO* bio, char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = ::recv(socket_of(bio), data, static_cast<std::size_t>(size), MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) BIO_set_retry_read(bio);
  return static_cast<int>(n);
}

int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const ssize_t n = ::send(socket_of(bio), data, static_cast<std::size_t>(size), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(n);
}

long bio_control(BIO* bio, int command, long argument, void* pointer) {
  switch (command) {
    case BIO_C_SET_FD:
      BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(*static_cast<int*>(pointer))));
      BIO_set_init(bio, 1);
      return 1;
    case BIO_C_GET_FD: {
      const int fd = static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
      if (pointer != nullptr) *static_cast<int*>(pointer) = fd;
      return fd;
    }
    case BIO_CTRL_FLUSH: return 1;
    default: static_cast<void>(argument); return 0;
  }
}

using BioMethod = std::unique_ptr<BIO_METHOD, decltype(&BIO_meth_free)>;

BIO* make_bio(int socket) {
  // Made once: OpenSSL keeps the pointer in every BIO.
  static const BioMethod kMethod = [] {
    BioMethod method(BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "dormouse socket"), &BIO_meth_free);
    if (method == nullptr) return method;
    BIO_meth_set_read(method.get(), &bio_read);
    BIO_meth_set_write(method.get(), &bio_write);
    BIO_meth_set_ctrl(method.get(), &bio_control);
    return method;
  }();
  BIO* const bio = kMethod != nullptr ? BIO_new(kMethod.get()) : nullptr;
  if (bio != nullptr) BIO_set_fd(bio, socket, BIO_NOCLOSE);
  return bio;
}

BIO* memory_bio(const std::string& text) {
  return BIO_new_mem_buf(text.data(), static_cast<int>(std::min<std::size_t>(text.size(), 1U << 20)));
}

// The certificates of the CAs between ours and the one a client knows, up to the end of the file.
bool use_chain(SSL_CTX* context, BIO* certificates) {
  while (X509* const next = PEM_read_bio_X509(certificates, nullptr, nullptr, nullptr)) {
    if (SSL_CTX_add0_chain_cert(context, next) == 1) continue;
    X509_free(next);
    return false;
  }
  // The end of the file is an error in OpenSSL's queue; anything else there is one.
  const bool is_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  if (is_end) ERR_clear_error();
  return is_end;
}

// Without it OpenSSL asks at the terminal for the passphrase of an encrypted key, and a daemon would hang there.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*is_write*/, void* /*user*/) {
  return -1;
}

bool use_identity(SSL_CTX* context, const TlsIdentity& identity) {
  BIO* const certificate_in = memory_bio(identity.certificate_pem);
  BIO* const key_in = memory_bio(identity.key_pem);
  X509* const certificate = PEM_read_bio_X509(certificate_in, nullptr, nullptr, nullptr);
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(key_in, nullptr, &no_passphrase, nullptr);
  const bool used = certificate != nullptr && key != nullptr && SSL_CTX_use_certificate(context, certificate) == 1 &&
                    SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1 &&
                    use_chain(context, certificate_in);
  X509_free(certificate);
  EVP_PKEY_free(key);
  BIO_free_all(certificate_in);
  BIO_free_all(key_in);
  return used;
}

void set_common(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_mode(context,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // No resumption: connections are kept, and a ticket after the handshake would look like data on an idle one.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET);
  SSL_CTX_set_num_tickets(context, 0);
}

// By its fingerprint alone: who signed it is of no matter.
bool is_pinned(const TlsTrust& trust) {
  return !trust.fingerprint.empty();
}

}  // namespace

std::string fingerprint_of(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) return {};
  std::string out = "sha256:";
  for (unsigned int i = 0; i < size; ++i) out += fmt::format("{:02x}", digest[i]);
  return out;
}

void TlsContext::Free::operator()(SSL_CTX* context) const {
  SSL_CTX_free(context);
}
void TlsSession::Free::operator()(SSL* session) const {
  SSL_free(session);
}

Result<std::shared_ptr<TlsContext>> TlsContext::server(const TlsIdentity& identity) {
  auto out = std::make_shared<TlsContext>();
  out->context_.reset(SSL_CTX_new(TLS_server_method()));
  if (out->context_ == nullptr) return make_error(Code::kInternal, "TLS: no context");
  set_common(out->get());
  if (!use_identity(out->get(), identity)) {
    return make_error(Code::kInvalidArgument, "TLS: certificate and key: " + take_openssl_error());
  }
  return out;
}

Result<std::shared_ptr<TlsContext>> TlsContext::client(const TlsTrust& trust) {
  auto out = std::make_shared<TlsContext>();
  out->context_.reset(SSL_CTX_new(TLS_client_method()));
  if (out->context_ == nullptr) return make_error(Code::kInternal, "TLS: no context");
  set_common(out->get());
  // Pinned: the handshake proves that the peer has the certificate's key; which certificate, check_peer() looks at.
  SSL_CTX_set_verify(out->get(), is_pinned(trust) ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  if (trust.system_cas && SSL_CTX_set_default_verify_paths(out->get()) != 1) {
    return make_error(Code::kInternal, "TLS: the system's certificates: " + take_openssl_error());
  }
  if (!trust.ca_file.empty() && SSL_CTX_load_verify_file(out->get(), trust.ca_file.c_str()) != 1) {
    return make_error(Code::kInvalidArgument, "TLS: CA file " + trust.ca_file + ": " + take_openssl_error());
  }
  return out;
}

Result<std::unique_ptr<TlsSession>> TlsSession::make(const TlsContext& context, int socket) {
  auto out = std::make_unique<TlsSession>();
  out->ssl_.reset(SSL_new(context.get()));
  BIO* const bio = out->ssl_ != nullptr ? make_bio(socket) : nullptr;
  if (bio == nullptr) return make_error(Code::kInternal, "TLS: no session");
  SSL_set_bio(out->ssl_.get(), bio, bio);
  return out;
}

Result<std::unique_ptr<TlsSession>> TlsSession::accept(const TlsContext& context, int socket) {
  TRY(std::unique_ptr<TlsSession> out, make(context, socket));
  SSL_set_accept_state(out->ssl_.get());
  return out;
}

Result<std::unique_ptr<TlsSession>> TlsSession::connect(const TlsTrust& trust, const std::string& host, int socket) {
  if (static_cast<int>(trust.ca_file.empty()) + static_cast<int>(trust.fingerprint.empty()) +
          static_cast<int>(!trust.system_cas) !=
      2) {
    return make_error(Code::kInvalidArgument,
                      "TLS: a fingerprint, a CA file or the system's authorities are wanted, one of them");
  }
  TRY(const std::shared_ptr<TlsContext> context, TlsContext::client(trust));
  TRY(std::unique_ptr<TlsSession> out, make(*context, socket));
  out->is_client_ = true;
  out->fingerprint_ = trust.fingerprint;
  SSL* const ssl = out->ssl_.get();
  SSL_set_connect_state(ssl);
  boost::system::error_code ec;
  const auto literal = boost::asio::ip::make_address(host, ec);
  static_cast<void>(literal);
  // SSL_set_tlsext_host_name, whose macro casts in the old style.
  if (ec) SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, const_cast<char*>(host.c_str()));
  if (is_pinned(trust)) return out;
  const bool named = ec ? SSL_set1_host(ssl, host.c_str()) == 1
                        : X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1;
  if (!named) return make_error(Code::kInvalidArgument, "TLS: no such host name: " + host);
  return out;
}

TlsSession::Step TlsSession::step_of(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_NONE: return Step::kDone;
    case SSL_ERROR_WANT_READ: return Step::kWantRead;
    case SSL_ERROR_WANT_WRITE: return Step::kWantWrite;
    case SSL_ERROR_ZERO_RETURN: return Step::kEnd;
    default: failure_ = take_openssl_error(); return Step::kBroken;
  }
}

TlsSession::Step TlsSession::handshake() {
  if (!failure_.empty()) return Step::kBroken;
  ERR_clear_error();
  return step_of(SSL_do_handshake(ssl_.get()));
}

Status TlsSession::check_peer() const {
  if (!is_client_ || fingerprint_.empty()) return {};
  X509* const certificate = SSL_get1_peer_certificate(ssl_.get());
  const std::string found = certificate != nullptr ? fingerprint_of(certificate) : std::string("none");
  X509_free(certificate);
  if (found == fingerprint_) return {};
  return make_error(Code::kUnauthenticated,
                    fmt::format("TLS: the peer's certificate is {}, trusted is {}", found, fingerprint_));
}

TlsSession::Step TlsSession::read(char* data, std::size_t size, std::size_t& got) {
  if (!failure_.empty()) return Step::kBroken;
  ERR_clear_error();
  got = 0;
  return step_of(SSL_read_ex(ssl_.get(), data, size, &got));
}

bool TlsSession::has_pending() const {
  return SSL_pending(ssl_.get()) > 0;
}

TlsSession::Step TlsSession::write(std::string_view data, std::size_t& taken) {
  if (!failure_.empty()) return Step::kBroken;
  ERR_clear_error();
  taken = 0;
  return step_of(SSL_write_ex(ssl_.get(), data.data(), data.size(), &taken));
}

void TlsSession::shutdown() {
  if (!failure_.empty() || SSL_is_init_finished(ssl_.get()) != 1) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());  // the peer's goodbye is not waited for
  ERR_clear_error();
}

}  // namespace dormouse::http
