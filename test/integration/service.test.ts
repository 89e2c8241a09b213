// Shippers and receivers as NATS services: what they answer is compared with the fields of ADR-32, on every subject that
// it names; an endpoint that fails answers with an error and is counted.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createInbox, errors, type Msg, type NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';

import { type Endpoint, serve, SERVICE_ERROR, SERVICE_ERROR_CODE } from '../../common/nats/service.ts';
import { until } from '../../common/runtime/run.ts';
import { ANSWER_MS, WAIT_MS } from '../support/timeouts.ts';
import { assertIdentical } from '../support/compare.ts';
import { World } from '../support/world.ts';
import { Written } from '../support/log-files.ts';

const endpoint: Endpoint = {
  name: 'echo',
  subject: 'test.echo',
  handle: async (data) => {
    if (data.length === 0) throw new Error('nothing\nto echo');
    return await Promise.resolve(data);
  },
  data: () => ({ depth: 3 }),
};

const metadata = { host: 'web1', stream: 'LOGS' };
const options = {
  name: 'test-service',
  version: '1.2.3',
  description: 'echoes',
  metadata,
  endpoints: [endpoint],
};

const standard = {
  name: z.string(),
  id: z.string().min(1),
  version: z.string().regex(/^\d+\.\d+\.\d+$/),
  metadata: z.record(z.string(), z.string()),
};
const ping = z.strictObject({ type: z.literal('io.nats.micro.v1.ping_response'), ...standard });
const info = z.strictObject({
  type: z.literal('io.nats.micro.v1.info_response'),
  ...standard,
  description: z.string(),
  endpoints: z.array(
    z.strictObject({
      name: z.string(),
      subject: z.string(),
      queue_group: z.string(),
      metadata: z.record(z.string(), z.string()),
    }),
  ),
});
const stats = z.strictObject({
  type: z.literal('io.nats.micro.v1.stats_response'),
  ...standard,
  started: z.iso.datetime(),
  endpoints: z.array(
    z.strictObject({
      name: z.string(),
      subject: z.string(),
      queue_group: z.string(),
      num_requests: z.int(),
      num_errors: z.int(),
      last_error: z.string(),
      data: z.unknown().optional(),
      processing_time: z.int(),
      average_processing_time: z.int(),
    }),
  ),
});

/** All answers to one question, as many as are expected. */
async function ask(nc: NatsConnection, subject: string, count: number): Promise<Msg[]> {
  const inbox = createInbox();
  const answers: Msg[] = [];
  const subscription = nc.subscribe(inbox, {
    callback: (error, message) => {
      if (error === null && message.headers?.code !== 503) answers.push(message);
    },
  });
  nc.publish(subject, '', { reply: inbox });
  await until(() => answers.length >= count, { timeoutMs: WAIT_MS });
  subscription.unsubscribe();
  return answers;
}

function isNobody(error: unknown): boolean {
  return error instanceof errors.RequestError && error.isNoResponders();
}

test('PING, INFO and STATS answer with the fields of ADR-32, on all three subjects each', async () => {
  await World.run('service', async (world) => {
    const { nc } = await world.connection();
    const stop = serve(nc, options);
    const [first] = await ask(nc, '$SRV.PING', 1);
    const { id } = ping.parse(first?.json());
    for (const suffix of ['', '.test-service', `.test-service.${id}`]) {
      const said = {
        PING: ping.parse((await ask(nc, `$SRV.PING${suffix}`, 1))[0]?.json()),
        INFO: info.parse((await ask(nc, `$SRV.INFO${suffix}`, 1))[0]?.json()),
        STATS: stats.parse((await ask(nc, `$SRV.STATS${suffix}`, 1))[0]?.json()),
      };
      for (const one of Object.values(said)) {
        const { name, version } = one;
        assert.deepEqual({ id: one.id, name, version }, { id, name: 'test-service', version: '1.2.3' });
        assert.deepEqual(one.metadata, metadata);
      }
      const place = { name: 'echo', subject: 'test.echo', queue_group: '' };
      assert.equal(said.INFO.description, 'echoes');
      assert.deepEqual(said.INFO.endpoints, [{ ...place, metadata: {} }]);
      const [counted] = said.STATS.endpoints;
      assert.deepEqual(
        { ...counted },
        {
          ...place,
          ...{ num_requests: 0, num_errors: 0, last_error: '', data: { depth: 3 } },
          ...{ processing_time: 0, average_processing_time: 0 },
        },
      );
    }
    stop();
    await nc.flush();
    await assert.rejects(nc.request('$SRV.PING.test-service'), isNobody);
    await assert.rejects(nc.request('test.echo', 'x'), isNobody);
    // Called again by whoever cleans up.
    stop();
  });
});

test('an endpoint answers, a failure is an error in headers, and both are counted', async () => {
  await World.run('endpoint', async (world) => {
    const { nc } = await world.connection();
    serve(nc, options);
    assert.equal((await nc.request('test.echo', 'hello', { timeout: ANSWER_MS })).string(), 'hello');
    const failed = await nc.request('test.echo', '');
    assert.equal(failed.headers?.get(SERVICE_ERROR), 'nothing to echo');
    assert.equal(failed.headers.get(SERVICE_ERROR_CODE), '500');
    const answer = stats.parse(
      (await nc.request('$SRV.STATS.test-service', '', { timeout: ANSWER_MS })).json(),
    );
    const [counted] = answer.endpoints;
    assert.ok(counted !== undefined);
    assert.equal(counted.num_requests, 2);
    assert.equal(counted.num_errors, 1);
    assert.equal(counted.last_error, 'nothing to echo');
    assert.ok(counted.processing_time > 0);
    assert.equal(counted.average_processing_time, Math.trunc(counted.processing_time / 2));
  });
});

test('two of a kind answer, each under its own id', async () => {
  await World.run('two-services', async (world) => {
    const { nc } = await world.connection();
    serve(nc, options);
    serve(nc, options);
    const ids = (await ask(nc, '$SRV.PING.test-service', 2)).map((one) => ping.parse(one.json()).id);
    assert.equal(new Set(ids).size, 2);
  });
});

test('a shipper and a receiver are services, with their status, for as long as they hold their names', async () => {
  await World.run('daemons', async (world) => {
    const file = new Written(world, 'app.log');
    file.line();
    const receiver = world.receive(['--id', 'central-1']);
    const shipper = world.ship();
    await assertIdentical(world, [file]);
    const { nc } = await world.connection();
    const services = (await ask(nc, '$SRV.INFO', 2)).map((one) => info.parse(one.json()));
    const found = services.map(({ name, metadata: about, endpoints }) => ({
      name,
      keys: Object.keys(about),
      endpoints: endpoints.map(({ name: endpointName, subject }) => [endpointName, subject]),
    }));
    assert.deepEqual(
      found.toSorted((a, b) => (a.name < b.name ? -1 : 1)),
      [
        {
          name: 'logferry-receiver',
          keys: ['receiver', 'stream', 'prefix', 'machine', 'directory'],
          endpoints: [
            ['status', 'logferry.status.logs.receiver.central-1'],
            ['verify', 'logferry.verify.logs.receiver.central-1'],
          ],
        },
        {
          name: 'logferry-shipper',
          keys: ['host', 'stream', 'prefix', 'machine'],
          endpoints: [
            ['status', 'logferry.status.logs.shipper.web1'],
            ['verify', 'logferry.verify.logs.shipper.web1'],
          ],
        },
      ],
    );
    const asked = (await nc.request('logferry.status.logs.shipper.web1', '', { timeout: ANSWER_MS })).json<{
      files: number;
    }>();
    const said = stats.parse(
      (await nc.request('$SRV.STATS.logferry-shipper', '', { timeout: ANSWER_MS })).json(),
    ).endpoints[0]?.data;
    assert.equal(asked.files, 1);
    assert.deepEqual(Object.keys(said as object), Object.keys(asked));
    assert.equal(await shipper.stop(), 0);
    await assert.rejects(nc.request('$SRV.PING.logferry-shipper'), isNobody);
    assert.equal(await receiver.stop(), 0);
    await assert.rejects(nc.request('$SRV.PING.logferry-receiver'), isNobody);
  });
});
