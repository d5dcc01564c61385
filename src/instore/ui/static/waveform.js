// The shape of a sound: its loudest sample in each column.

import { element } from "./elements.js";

const [WIDTH, HEIGHT] = [600, 96];

/** A picture of `bytes`, drawn once the browser has decoded them; a sentence where it can't. */
export function waveform(bytes) {
  const canvas = element("canvas", { width: WIDTH, height: HEIGHT, role: "img", "aria-label": "Waveform" });
  const caption = element("figcaption", { class: "facts" });
  draw(canvas, caption, bytes).catch(() => {
    canvas.remove();
    caption.textContent = "The browser can't decode this sound.";
  });
  return element("figure", { class: "waveform" }, canvas, caption);
}

async function draw(canvas, caption, bytes) {
  const sound = await new OfflineAudioContext(1, 1, 44_100).decodeAudioData(bytes.slice().buffer);
  const columns = loudest(sound);
  const pen = canvas.getContext("2d");
  pen.fillStyle = getComputedStyle(canvas).color; // the page is light or dark
  columns.forEach((height, x) => {
    const tall = Math.max(1, height * HEIGHT);
    pen.fillRect(x, (HEIGHT - tall) / 2, 1, tall);
  });
  const channels = sound.numberOfChannels === 1 ? "mono" : `${sound.numberOfChannels} channels`;
  caption.textContent = `${sound.duration.toFixed(2)} s, ${channels}`;
}

/** For each column the highest level of any channel, from 0 to 1. */
function loudest(sound) {
  const channels = Array.from({ length: sound.numberOfChannels }, (_, i) => sound.getChannelData(i));
  const step = sound.length / WIDTH;
  return Array.from({ length: WIDTH }, (_, x) => {
    let highest = 0;
    for (const channel of channels)
      for (let i = Math.floor(x * step); i < Math.min((x + 1) * step, channel.length); i++)
        highest = Math.max(highest, Math.abs(channel[i]));
    return Math.min(highest, 1);
  });
}
