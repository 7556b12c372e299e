#include "amx.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace amx {

bool enable() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

void configure_thread() {
  alignas(64) unsigned char config[64] = {1};  // palette 1
  for (int i = 0; i < 8; ++i) {
    config[16 + 2 * i] = 64;  // bytes a row
    config[48 + i] = 16;      // rows
  }
  // Not _tile_loadconfig: GCC 12's tells the compiler of eight of the 64 bytes that the instruction reads.
  asm volatile("ldtilecfg %0" ::"m"(config) : "memory");
}

void multiply(float* c, int ldc, const bf16* left, int left_stride, const bf16* right, int right_stride, int m, int n, int k,
              bool add) {
  const long row = 4L * ldc;
  asm volatile("" ::: "memory");  // the tile loads do not say that they read memory
  for (int j = 0; j < n; j += 32) {
    const bf16* b0 = right + static_cast<std::ptrdiff_t>(j / 16) * right_stride * kTile;
    const bf16* b1 = b0 + static_cast<std::ptrdiff_t>(right_stride) * kTile;
    for (int i = 0; i < m; i += 32) {
      const bf16* a0 = left + static_cast<std::ptrdiff_t>(i / 16) * left_stride * kTile;
      const bf16* a1 = a0 + static_cast<std::ptrdiff_t>(left_stride) * kTile;
      float* c0 = c + static_cast<std::ptrdiff_t>(i) * ldc + j;
      float* c1 = c0 + 16L * ldc;
      if (add) {
        _tile_loadd(0, c0, row);
        _tile_loadd(1, c0 + 16, row);
        _tile_loadd(2, c1, row);
        _tile_loadd(3, c1 + 16, row);
      } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
      }
      for (int t = 0; t < k / 32; ++t) {
        _tile_loadd(4, a0 + t * kTile, 64);
        _tile_loadd(6, b0 + t * kTile, 64);
        _tile_loadd(7, b1 + t * kTile, 64);
        _tile_loadd(5, a1 + t * kTile, 64);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
      _tile_stored(0, c0, row);
      _tile_stored(1, c0 + 16, row);
      _tile_stored(2, c1, row);
      _tile_stored(3, c1 + 16, row);
    }
  }
}

}  // namespace amx
