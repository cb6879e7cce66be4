#!/usr/bin/env python3
"""A = L L^T by tiles: numpy in, numpy out, checked.

    python3 Examples/Python/cholesky.py [--size 2048] [--tile 128] [--clusters 1]
"""
import argparse
import time

import numpy as np

import pto2
from pto2 import inout

KERNELS = r'''
#include "pto2_kernel.h"
#include <math.h>

/* Every tensor is a tile of a matrix of floats, whose rows lie strides[0] apart. */
#define TILE(i) ((float *)args->data[i])
#define STEP(i) ((size_t)args->tensor[i].strides[0])

/* Tile 0 in place: its Cholesky factor, zeros above the diagonal. */
static void potrf(const pto2_kernel_args *args) {
    float *a = TILE(0);
    const size_t n = args->tensor[0].shape[0], s = STEP(0);
    for (size_t j = 0; j < n; j++) {
        for (size_t k = 0; k < j; k++)
            for (size_t i = j; i < n; i++) a[i * s + j] -= a[i * s + k] * a[j * s + k];
        const float root = sqrtf(a[j * s + j]);
        for (size_t i = j; i < n; i++) a[i * s + j] /= root;
        for (size_t k = j + 1; k < n; k++) a[j * s + k] = 0;
    }
}

/* Tile 1 in place: B with B L^T = tile 1, where L is tile 0. */
static void trsm(const pto2_kernel_args *args) {
    const float *l = TILE(0);
    float *b = TILE(1);
    const size_t n = args->tensor[0].shape[0], sl = STEP(0), sb = STEP(1);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            float sum = b[i * sb + j];
            for (size_t k = 0; k < j; k++) sum -= b[i * sb + k] * l[j * sl + k];
            b[i * sb + j] = sum / l[j * sl + j];
        }
}

/* Tile 2 -= tile 0 times the transpose of tile 1. */
static void gemm(const pto2_kernel_args *args) {
    enum { MOST = 256 };
    static _Thread_local float turned[MOST * MOST];
    const float *a = TILE(0), *b = TILE(1);
    float *c = TILE(2);
    const size_t n = args->tensor[2].shape[0], sa = STEP(0), sb = STEP(1), sc = STEP(2);
    for (size_t j = 0; j < n; j++)
        for (size_t k = 0; k < n; k++) turned[k * n + j] = b[j * sb + k];
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++)
            for (size_t j = 0; j < n; j++) c[i * sc + j] -= a[i * sa + k] * turned[k * n + j];
}

PTO2_KERNELS({"potrf", potrf, PTO2_AIV}, {"trsm", trsm, PTO2_AIV}, {"gemm", gemm, PTO2_AIC})
'''


def cholesky(session, matrix, tile):
    """The lower factor of a symmetric, positive definite matrix, an array of float32."""
    def program(g):
        a = g.tensor(matrix)
        count = matrix.shape[0] // tile
        tiles = a.tiles(tile, tile)
        t = [[tiles[i, j] for j in range(count)] for i in range(count)]
        changed = [[inout(x) for x in row] for row in t]
        for k in range(count):
            g.submit("potrf", changed[k][k])
            for i in range(k + 1, count):
                g.submit("trsm", t[k][k], changed[i][k])
            for i in range(k + 1, count):
                for j in range(k + 1, i + 1):
                    g.submit("gemm", t[i][k], t[j][k], changed[i][j])
        return a

    return np.tril(np.asarray(session.run(program)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--tile", type=int, default=128, help="at most 256")
    parser.add_argument("--clusters", type=int, default=1)
    options = parser.parse_args()
    if options.size % options.tile or options.tile > 256:
        parser.error("--size must be a multiple of --tile, which is at most 256")

    random = np.random.default_rng(1)
    half = random.standard_normal((options.size, options.size), dtype=np.float32)
    matrix = half @ half.T + options.size * np.eye(options.size, dtype=np.float32)

    image = pto2.kernels(KERNELS, flags=["-O3", "-march=native"])
    with pto2.Session(image, clusters=options.clusters) as session:
        begin = time.perf_counter()
        lower = cholesky(session, matrix, options.tile)
        seconds = time.perf_counter() - begin
    begin = time.perf_counter()
    expected = np.linalg.cholesky(matrix)
    numpy_seconds = time.perf_counter() - begin

    error = np.abs(lower.astype(float) - np.linalg.cholesky(matrix.astype(float))).max()
    print(f"{session.report['tasks']} tasks, {seconds:.3f} s; numpy {numpy_seconds:.3f} s")
    limit = 1e-4 * np.sqrt(options.size)
    own = np.abs(expected - lower).max()
    print(f"largest error {error:.2e} against double, {own:.2e} against numpy in float32")
    print("verified" if error < limit else f"WRONG: more than {limit:.1e}")
    return 0 if error < limit else 1


if __name__ == "__main__":
    raise SystemExit(main())
