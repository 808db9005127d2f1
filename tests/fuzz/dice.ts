import { randomFrom } from '../helpers/random.ts';

/** Seeded random choices, so that a failure can be reproduced. */
export class Dice {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }

  /** A random integer in 0..below - 1. */
  int(below: number): number {
    return Math.floor(this.#random() * below);
  }

  of<T>(list: readonly T[]): T {
    return list[this.int(list.length)];
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.int(256)));
  }

  /** Random text of letters, characters that are special to parsers, and characters outside ASCII. */
  text(length: number): string {
    const signs = [...'abcXYZ019 _-.,:;/\\"\'=&%?#+*()[]{}<>|~^@!$`', '\0', '\t', 'é', '☃', '😀', '\u2028'];
    return Array.from({ length }, () => this.of(signs)).join('');
  }
}
