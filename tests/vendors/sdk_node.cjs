// Runs the vendor's node SDK, or the npm package "amplitude", as their documentation says; prints what they said as JSON.
'use strict';
const [which, url, text] = process.argv.slice(2);
const count = Number(text);
const {hostname, port} = new URL(url);

// The npm package has the address of the dashboard in its code: what it sends to it by TLS goes to the sandbox instead.
const http = require('node:http'), https = require('node:https');
https.request = (options, answered) => {
  if (!/(^|\.)amplitude\.com$/.test(options.hostname || options.host)) throw new Error(`a request to ${options.hostname || options.host}`);
  return http.request({...options, protocol: 'http:', hostname, host: hostname, port, agent: undefined, agents: undefined}, answered);
};
const event = (number) => ({
  event_type: `${which} ${number % 3}`, user_id: `user-${String(number % 7).padStart(5, '0')}`, event_properties: {serial: number, ratio: 0.5},
});

async function vendor() {
  const {createInstance, Identify} = require('@amplitude/analytics-node');
  const client = createInstance();
  await client.init('sandbox', {serverUrl: `${url}/2/httpapi`, flushQueueSize: 40, flushIntervalMillis: 200, flushMaxRetries: 5, logLevel: 0}).promise;
  const promises = Array.from({length: count}, (_, number) => client.track(event(number)).promise);
  promises.push(client.identify(new Identify().set('plan', 'pro').add('visits', 2), {user_id: 'user-00001'}).promise);
  // Its flush tries once, so it sends by itself.
  return (await Promise.all(promises)).map((result) => [result.event.insert_id, result.code, result.message]);
}

async function original() {
  const Amplitude = require('amplitude').default || require('amplitude');
  const client = new Amplitude('sandbox', {secretKey: 'sandbox', tokenEndpoint: url});
  const heard = [];
  for (let number = 0; number < count; number++) {
    const answer = await client.track(event(number)).catch((error) => ({code: error.status || error.code, message: error.message}));
    heard.push([String(number), answer.code, answer.message || '']);
  }
  await client.identify({user_id: 'user-00001', user_properties: {$set: {plan: 'pro'}}});
  const found = await client.userSearch('user-00001');
  const activity = await client.userActivity(found.matches[0].amplitude_id);
  const series = await client.eventSegmentation({e: {event_type: `${which} 0`}, start: '20260101', end: '20261231', m: 'totals'});
  const hour = new Date().toISOString().slice(0, 13).replaceAll('-', '');
  const {data: archive} = await client.export({start: '20260101T00', end: hour});
  let bytes = 0;
  for await (const chunk of archive) bytes += chunk.length;
  return {heard, bytes, found: found.matches.length, events: activity.userData.num_events, total: series.data.series[0].reduce((a, b) => a + b, 0)};
}

(which === 'vendor' ? vendor() : original()).then(
  (said) => { console.log(JSON.stringify(said)); process.exit(0); },
  (error) => { console.error(error); process.exit(1); },
);
