/** Prints the length of the file on standard input as it is given to the decoder. */
import { readFileSync } from 'node:fs';
import { sourceOf } from '../../src/image/header.ts';

console.log(sourceOf(readFileSync(0), 'image').file.length);
