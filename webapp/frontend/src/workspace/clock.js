// Time left, by the server's clock rather than the one of this machine.
import { byId } from "../dom.js";

export function startClock({ deadline, serverNow }) {
  const box = byId("clock");
  if (!box) return;
  const ahead = new Date(serverNow) - Date.now();
  const show = () => {
    const left = Math.max(0, Math.round((new Date(deadline) - Date.now() - ahead) / 1000));
    box.querySelector(".clock__value").textContent = inWords(left);
    box.classList.toggle("clock--short", left < 300);
    if (left === 0) location.reload();
  };
  if (new Date(deadline) - Date.now() - ahead > 0) setInterval(show, 1000);
  show();
}

function inWords(seconds) {
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor((seconds % 3600) / 60))}:${two(seconds % 60)}`;
  return hours ? `${hours}:${rest}` : rest;
}
