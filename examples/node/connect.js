// Cuts the objects out of a photo over HTTP, by the Connect protocol, and writes each the moment it arrives.
//
//   node connect.js PHOTO [FOLDER] [ADDRESS]
//
// Everything but reading and writing of files runs in a browser as it is.

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, parse } from 'node:path'

import { createFileRegistry, fromBinary } from '@bufbuild/protobuf'
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { Code, ConnectError, createClient } from '@connectrpc/connect'
import { createConnectTransport } from '@connectrpc/connect-web'

const CONTRACT = new URL('../../protos/released.binpb', import.meta.url) // all protos; nothing is generated
const DEADLINE = 120_000 // milliseconds for the whole photo

const [photo, folder = 'out', address = 'http://localhost:8080'] = process.argv.slice(2)
if (!photo) {
  console.error('usage: node connect.js PHOTO [FOLDER] [ADDRESS]')
  process.exit(2)
}

const contract = createFileRegistry(fromBinary(FileDescriptorSetSchema, await readFile(CONTRACT)))
const service = contract.getService('tensorhop.v1.PipelineService')
const faults = contract.getMessage('tensorhop.v1.Fault')
const client = createClient(service, createConnectTransport({ baseUrl: address, useBinaryFormat: true }))

let summary
try {
  const image = { source: { case: 'encoded', value: await readFile(photo) } }
  await mkdir(folder, { recursive: true })
  for await (const { event } of client.process({ image }, { timeoutMs: DEADLINE })) {
    if (event.case === 'object') {
      const { detection, picture } = event.value
      const file = join(folder, `${parse(photo).name}-${detection.index}.png`)
      await writeFile(file, picture.content.value)
      console.log(`${detection.label} ${detection.score.toFixed(2)} -> ${file}`)
    } else if (event.case === 'fault') {
      console.error(`object ${event.value.detection.index}: ${event.value.fault.message}`)
    } else if (event.case === 'summary') {
      summary = event.value
    }
  }
} catch (error) {
  const told = ConnectError.from(error)
  const [fault] = told.findDetails(faults)
  console.error(`${Code[told.code]}: ${told.rawMessage}${fault?.field ? ` (${fault.field})` : ''}`)
  process.exit(1)
}
process.exit(summary.objects && !summary.faults ? 0 : 1)
