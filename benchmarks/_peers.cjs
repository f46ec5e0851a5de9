// The peers in node at work: one job in a process of its own, told as JSON in the first argument, answered as JSON on the last line.
// `_runs.py` puts this file beside the packages. Jobs and figures are those of `_ours.py`.
'use strict';
const fs = require('node:fs');
const net = require('node:net');

const job = JSON.parse(process.argv[2]);
const port = Number(new URL(job.url).port);
const now = () => Number(process.hrtime.bigint()) / 1e9;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// The instants at which this process tried to connect; this clock is the one that Python calls monotonic.
const connects = [];
const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (...given) {
  const target = Array.isArray(given[0]) ? given[0][0] : given[0];
  if (target && Number(target.port) === port) connects.push(now());
  return connect.apply(this, given);
};

// The same event as in `_events.py`.
function make(serial, identities = 5000) {
  const who = String(serial % identities).padStart(6, '0');
  return {
    event_type: 'page_viewed',
    user_id: `user-${who}`,
    device_id: `device-${who}-7d2f`,
    platform: 'Web',
    os_name: 'Linux',
    language: 'English',
    country: 'Germany',
    event_properties: {
      serial,
      page: '/shop/shoes/leather/4711',
      referrer: 'https://www.example.org/search',
      position: 3,
      price: 19.99,
      tags: ['sale', 'new'],
      first: true,
    },
    user_properties: {plan: 'pro', seats: 12, since: '2026-05-01'},
  };
}

// The original: one request for each awaited call.
function original() {
  const Amplitude = require('amplitude').default || require('amplitude');
  const client = new Amplitude('0123456789abcdef', {tokenEndpoint: job.url});
  return {track: (event) => client.track(event).then(() => true), flush: async () => {}};
}

// The vendor's: `tuned` means batches of 1,000 to the Batch API.
async function vendor() {
  const {createInstance} = require('@amplitude/analytics-node');
  const tuned = job.variant.includes('tuned');
  const client = createInstance();
  const options = {serverUrl: job.url + (tuned ? '/batch' : '/2/httpapi'), logLevel: 0};
  if (tuned) Object.assign(options, {flushQueueSize: 1000, useBatch: true});
  await client.init('0123456789abcdef', options).promise;
  return {
    track: (event) => client.track(event).promise.then((result) => result.code === 200),
    flush: () => client.flush().promise,
  };
}

const open = async () => (job.variant.startsWith('amplitude (') ? original() : vendor());

async function awaited() {
  const client = await open();
  for (let n = 0; n < 50; n++) await client.track(make(job.calls + n));
  // The same thinking times as in `_ours.py`, near enough: they are even between 0 and the most.
  let state = 12345;
  const think = () => ((state = (state * 1103515245 + 12345) % 2147483648) / 2147483648) * job.think * 1000;
  const waits = [];
  let serial = 0;
  const before = process.cpuUsage(), began = now();
  await Promise.all(Array.from({length: job.callers}, async () => {
    while (serial < job.calls) {
      const event = make(serial++);
      const called = now();
      await client.track(event);
      waits.push(now() - called);
      if (job.think) await sleep(think());
    }
  }));
  const used = process.cpuUsage(before);
  return {cpu: (used.user + used.system) / 1e6, wall: now() - began, waits, events: job.calls};
}

async function queued() {
  const client = await open();
  const first = [];
  for (let n = 0; n < 50; n++) first.push(client.track(make(job.events + n)));
  await client.flush();
  await Promise.all(first);
  global.gc();
  const waits = [], done = [];
  const grown = process.memoryUsage().rss;
  const before = process.cpuUsage(), began = now();
  for (let serial = 0; serial < job.events; serial++) {
    const event = make(serial);
    const called = now();
    done.push(client.track(event));
    waits.push(now() - called);
  }
  await client.flush();
  await Promise.all(done);
  const used = process.cpuUsage(before);
  const cpu = (used.user + used.system) / 1e6;
  return {cpu, wall: now() - began, waits, grown: process.memoryUsage().rss - grown, events: job.events};
}

async function steady() {
  const client = await open();
  const count = Math.floor(job.rate * job.seconds), reported = [];
  const rss = process.memoryUsage().rss;
  let settled = 0, serial = 0;
  console.log('ready');
  const began = now();
  while (serial < count) {
    const due = Math.min(count, Math.floor((now() - began) * job.rate) + 1);
    for (; serial < due; serial++) {
      const one = serial;
      const said = (delivered) => { settled++; if (!delivered) reported.push(one); };
      client.track(make(one)).then(said, () => said(false));
    }
    await sleep(10);
  }
  const grown = process.memoryUsage().rss - rss;
  const until = now() + job.settle;
  while (settled < count && now() < until) await sleep(20);
  // It has no close(); flush() is what its documentation tells to await before the end, and it tries once.
  const closing = now();
  await Promise.race([client.flush(), sleep(job.close * 15000)]);
  await sleep(20);
  return {count, refused: [], reported, connects, grown, closing: now() - closing};
}

async function kill() {
  const client = await open();
  let serial = job.first;
  await Promise.all(Array.from({length: job.producers}, async () => {
    for (;;) {
      const one = serial++;
      client.track(make(one)).catch(() => {});
      fs.writeSync(1, `${one}\n`);
      await sleep(2);
    }
  }));
}

({awaited, queued, steady, kill})[job.job]().then((result) => {
  process.stdout.write(JSON.stringify(result) + '\n', () => process.exit(0));
}, (error) => {
  console.error(error);
  process.exit(1);
});
