import { randomFrom } from '../helpers/random.ts';

/** Choices that are the same in every run: what failed once fails again. */
export class Dice {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
  }

  /** 0..below-1 */
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

  /** Of letters, signs that mean something to a parser, and characters outside ASCII. */
  text(length: number): string {
    const signs = [...'abcXYZ019 _-.,:;/\\"\'=&%?#+*()[]{}<>|~^@!$`', '\0', '\t', 'é', '☃', '😀', '\u2028'];
    return Array.from({ length }, () => this.of(signs)).join('');
  }
}
