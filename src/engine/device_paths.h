// Younger ways of using a GPU, with the bits of the older ones: each is on by itself only on cards of a kind where its
// tests ran (gpu_report.h).
#pragma once

namespace dormouse::engine {

struct DevicePaths {
  bool one_row = false;          // one row of Q8_0 and 16-bit weights through kernels of its own
  bool shared_prefixes = false;  // a prefix that sequences share is read once for several of them
  bool whole_step = false;       // all layers of one row in one launch
  bool wide_products = false;    // many rows of Q8_0 and 16-bit weights through wgmma (Hopper)
  bool small_stacks = false;     // a context with room for the stacks that kernels have (Device::fit_stacks())
  bool operator==(const DevicePaths&) const = default;
};

}  // namespace dormouse::engine
