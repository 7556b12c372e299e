#include "kernels/cuda/driver_upload.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

namespace dormouse::cuda {
namespace {

// 4 MiB: 0.08 ms on PCIe 5, long enough that starting a copy does not count, small enough to fill within a cache.
constexpr std::uint64_t kPieceBytes = 4U << 20;

std::vector<Upload> cut(std::span<const Upload> uploads) {
  std::vector<Upload> out;
  for (const Upload& upload : uploads) {
    for (std::uint64_t done = 0; done < upload.bytes; done += kPieceBytes) {
      out.push_back({.to = upload.to + done,
                     .from = static_cast<const std::uint8_t*>(upload.from) + done,
                     .bytes = std::min(kPieceBytes, upload.bytes - done)});
    }
  }
  return out;
}

// One thread's: two pinned buffers, each with a stream that says when it is free again.
class Lane {
 public:
  Lane(const driver::Api& api, driver::Context context) : api_(api), context_(context) {}
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;
  ~Lane() {
    for (const Buffer& buffer : buffers_) {
      if (buffer.stream != nullptr) {
        api_.synchronize(buffer.stream);
        api_.destroy_stream(buffer.stream);
      }
      if (buffer.memory != nullptr) api_.release_host(buffer.memory);
    }
  }

  // A driver's code.
  int open() {
    int code = api_.set_current(context_);
    for (Buffer& buffer : buffers_) {
      if (code == driver::kSuccess) code = api_.allocate_host(&buffer.memory, kPieceBytes, 0);
      if (code == driver::kSuccess) code = api_.create_stream(&buffer.stream, driver::kStreamNonBlocking);
    }
    return code;
  }
  int copy(const Upload& piece) {
    Buffer& buffer = buffers_[next_++ % buffers_.size()];
    if (const int code = api_.synchronize(buffer.stream); code != driver::kSuccess) return code;
    std::memcpy(buffer.memory, piece.from, piece.bytes);
    return api_.copy_to_device(piece.to, buffer.memory, piece.bytes, buffer.stream);
  }
  int finish() {
    for (const Buffer& buffer : buffers_) {
      if (const int code = api_.synchronize(buffer.stream); code != driver::kSuccess) return code;
    }
    return driver::kSuccess;
  }

 private:
  struct Buffer {
    void* memory = nullptr;
    driver::Stream stream = nullptr;
  };
  const driver::Api& api_;
  const driver::Context context_;
  std::array<Buffer, 2> buffers_;
  std::size_t next_ = 0;
};

}  // namespace

Status upload_pieces(const driver::Api& api, driver::Context context, std::span<const Upload> uploads, int threads) {
  const std::vector<Upload> pieces = cut(uploads);
  std::atomic<std::size_t> next{0};
  std::atomic<int> failed{driver::kSuccess};
  const auto work = [&] {
    Lane lane(api, context);
    int code = lane.open();
    while (code == driver::kSuccess && failed.load(std::memory_order_relaxed) == driver::kSuccess) {
      const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed);
      if (mine >= pieces.size()) break;
      code = lane.copy(pieces[mine]);
    }
    if (code == driver::kSuccess) code = lane.finish();
    if (code != driver::kSuccess) failed.store(code, std::memory_order_relaxed);
  };
  {
    std::vector<std::jthread> others;
    for (std::size_t i = 1; i < std::min(static_cast<std::size_t>(std::max(threads, 1)), pieces.size()); ++i) {
      others.emplace_back(work);
    }
    work();
  }
  if (failed.load() == driver::kSuccess) return {};
  return driver::make_driver_error(api, failed.load(), "copying weights to the device");
}

}  // namespace dormouse::cuda
