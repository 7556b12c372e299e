// What TDPBSSD reaches from registers (KernelTable::int8_peak). Included once, by table.cc.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/cpu/amx/gemm.h"

namespace dormouse::kernels {
namespace {

// Four C tiles in turn, two A and two B: as the fast product's inner loop, without its loads.
std::int64_t int8_peak(std::int64_t rounds) {
  configure_tiles(16, 2);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  _tile_zero(6);
  _tile_zero(7);
  for (std::int64_t i = 0; i < rounds; ++i) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
  return rounds * 4 * 16 * 16 * 64 * 2;
}

}  // namespace
}  // namespace dormouse::kernels
