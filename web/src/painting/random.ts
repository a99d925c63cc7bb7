/** Random numbers as torch and NumPy draw them, so that a seed names the same picture in all. */

const SHARE = 2 ** -53;

/** Draws numbers of 32 bits. */
export interface Bits {
  next(): number;
}

/** MT19937 (Matsumoto and Nishimura 1998), seeded as torch's generator on a CPU. */
export class MersenneTwister implements Bits {
  private readonly state = new Uint32Array(624);
  private place = 624;

  constructor(seed: number) {
    const state = this.state;
    state[0] = seed;
    for (let i = 1; i < 624; i++) {
      const before = state[i - 1]! ^ (state[i - 1]! >>> 30);
      state[i] = Math.imul(1812433253, before) + i;
    }
  }

  next(): number {
    if (this.place === 624) this.turn();
    let value = this.state[this.place++]!;
    value ^= value >>> 11;
    value ^= (value << 7) & 0x9d2c5680;
    value ^= (value << 15) & 0xefc60000;
    return (value ^ (value >>> 18)) >>> 0;
  }

  private turn(): void {
    const state = this.state;
    for (let i = 0; i < 624; i++) {
      const both = (state[i]! & 0x80000000) | (state[(i + 1) % 624]! & 0x7fffffff);
      const odd = both & 1 ? 0x9908b0df : 0;
      state[i] = state[(i + 397) % 624]! ^ (both >>> 1) ^ odd;
    }
    this.place = 0;
  }
}

/** A number in [0, 1) from 53 bits, as `torch.rand` draws one in float64. */
export function uniform(random: Bits): number {
  const high = random.next() & 0x1fffff;
  return (high * 2 ** 32 + random.next()) * SHARE;
}

/**
 * Standard normal values, as `torch.randn(count, dtype=torch.float64)` draws them (Box and Muller 1958).
 *
 * Below 16 values, torch draws one after the other and keeps the second of each pair. From 16 on it takes
 * 16 uniform values at a time, the first eight with the last eight; if some are left over at the end, the
 * last 16 are drawn again.
 */
export function normals(random: Bits, count: number): Float64Array {
  const values = new Float64Array(count);
  if (count < 16) {
    for (let i = 0; i < count; i += 2) {
      const angle = 2 * Math.PI * uniform(random);
      const radius = Math.sqrt(-2 * Math.log1p(-uniform(random)));
      values[i] = radius * Math.cos(angle);
      if (i + 1 < count) values[i + 1] = radius * Math.sin(angle);
    }
    return values;
  }
  for (let i = 0; i < count; i++) values[i] = uniform(random);
  for (let i = 0; i + 16 <= count; i += 16) pairs(values.subarray(i, i + 16));
  if (count % 16) {
    const last = values.subarray(count - 16);
    for (let i = 0; i < 16; i++) last[i] = uniform(random);
    pairs(last);
  }
  return values;
}

function pairs(values: Float64Array): void {
  for (let i = 0; i < 8; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - values[i]!));
    const angle = 2 * Math.PI * values[i + 8]!;
    values[i] = radius * Math.cos(angle);
    values[i + 8] = radius * Math.sin(angle);
  }
}

/** `numpy.random.default_rng(words).random()`: the first number of PCG64, seeded by a SeedSequence. */
export function firstShare(words: readonly number[]): number {
  const [a, b, c, d] = seedStates(words);
  const increment = (((c! << 64n) | d!) << 1n) | 1n;
  const step = (state: bigint) => BigInt.asUintN(128, state * PCG_FACTOR + increment);
  // The state begins with 0; what was seeded is added after the first step.
  let state = step(0n) + ((a! << 64n) | b!);
  state = step(step(state));
  const mixed = (state >> 64n) ^ BigInt.asUintN(64, state);
  const turn = state >> 122n;
  const turned = BigInt.asUintN(64, (mixed >> turn) | (mixed << (64n - turn)));
  return Number(turned >> 11n) * SHARE;
}

const PCG_FACTOR = (2549297995355413924n << 64n) | 4865540595714422341n;

/** Four numbers of 64 bits from up to four of 32: NumPy's SeedSequence (O'Neill's seed_seq_fe). */
function seedStates(words: readonly number[]): bigint[] {
  let factor = 0x43b0d7e5;
  const hashed = (value: number) => {
    value ^= factor;
    factor = Math.imul(factor, 0x931e8875);
    value = Math.imul(value, factor);
    return value ^ (value >>> 16);
  };
  const pool = [0, 1, 2, 3].map((i) => hashed(words[i] ?? 0));
  for (let from = 0; from < 4; from++)
    for (let to = 0; to < 4; to++) {
      if (from === to) continue;
      const mixed = Math.imul(0xca01f9dd, pool[to]!) - Math.imul(0x4973f715, hashed(pool[from]!));
      pool[to] = mixed ^ (mixed >>> 16);
    }
  let other = 0x8b51f9dd;
  const out: number[] = [];
  for (let i = 0; i < 8; i++) {
    let value = pool[i % 4]! ^ other;
    other = Math.imul(other, 0x58f38ded);
    value = Math.imul(value, other);
    out.push((value ^ (value >>> 16)) >>> 0);
  }
  return [0, 2, 4, 6].map((i) => BigInt(out[i]!) | (BigInt(out[i + 1]!) << 32n));
}
