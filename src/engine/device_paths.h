// Younger ways of using a GPU, with the bits of the older ones: each is on by itself only on cards of a kind where its
// tests ran (gpu_report.h).
#pragma once

#include <array>
#include <string_view>

namespace dormouse::engine {

struct DevicePaths {
  bool one_row = false;          // one row of Q8_0 and 16-bit weights through kernels of its own
  bool shared_prefixes = false;  // a prefix that sequences share is read once for several of them
  bool whole_step = false;       // all layers of one row in one launch
  bool wide_products = false;    // many rows of Q8_0 and 16-bit weights through wgmma (Hopper)
  bool small_stacks = false;     // a context with room for the stacks that kernels have (Device::fit_stacks())
  bool operator==(const DevicePaths&) const = default;
};

struct DevicePathName {
  std::string_view name;  // as --device-paths has it
  bool DevicePaths::*path;
};
inline constexpr std::array<DevicePathName, 5> kDevicePaths = {{{"one-row", &DevicePaths::one_row},
                                                                {"shared-prefixes", &DevicePaths::shared_prefixes},
                                                                {"whole-step", &DevicePaths::whole_step},
                                                                {"wide-products", &DevicePaths::wide_products},
                                                                {"small-stacks", &DevicePaths::small_stacks}}};

}  // namespace dormouse::engine
