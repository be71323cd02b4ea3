// What this browser remembers for us. Storage may be full or forbidden; then nothing is remembered,
// and whoever asks gets null.

export const recall = (key) => quietly(() => JSON.parse(localStorage.getItem(key)));
export const remember = (key, value) =>
  quietly(() => localStorage.setItem(key, JSON.stringify(value)));
export const forget = (key) => quietly(() => localStorage.removeItem(key));

function quietly(action) {
  try {
    return action();
  } catch {
    return null;
  }
}
