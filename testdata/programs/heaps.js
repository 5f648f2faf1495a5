// Fills V8's heap. When asked, it stops all its threads, and says when it goes on which sizes V8's
// spaces had just before and just after that, a line each. The page of a browser runs it too.
const objects = [];
for (let i = 0; i < 200000; i++) objects.push({ i, text: 'x' + i });
const hot = (n) => { let sum = 0; for (let i = 0; i < n; i++) sum += i * i % 7; return sum; };
for (let i = 0; i < 200; i++) hot(10000);
// 64 letters that stand in no source, in many objects of the heap.
const text = () => Array.from({ length: 64 }, (_, i) => String.fromCharCode(65 + i * 7 % 26)).join('');
const letters = Array.from({ length: 100 }, text);
// 64 bytes that are nowhere else, in a buffer outside of the heap.
const buffer = new Uint8Array(4 << 20);
for (let i = 0; i < buffer.length; i++) buffer[i] = i * 11 % 251 + 1;
globalThis.kept = [objects, letters, buffer];
if (globalThis.process) {
  const { getHeapSpaceStatistics } = require('v8');
  const sizes = () =>
    getHeapSpaceStatistics().map((space) => space.space_name + '=' + space.space_size).join(' ');
  process.stdin.on('data', () => {
    const before = sizes();
    process.kill(process.pid, 'SIGSTOP');
    console.log(before + '\n' + sizes() + '\nready');
  });
}
console.log('ready');
