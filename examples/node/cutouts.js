// Cuts the objects out of a photo by a running Tensorhop pipeline, and writes each the moment it arrives.
//
//   node cutouts.js PHOTO [FOLDER] [ADDRESS]

import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, parse } from 'node:path'
import { fileURLToPath } from 'node:url'

import grpc from '@grpc/grpc-js'
import protoLoader from '@grpc/proto-loader'

const PROTOS = fileURLToPath(new URL('../../protos', import.meta.url))
const MAX_ANSWER = 64 * 1024 * 1024 // bytes; gRPC's default of 4 MiB is too small for the PNG of a large canvas
const DEADLINE = 120_000 // milliseconds for the whole photo

const contract = protoLoader.loadSync('tensorhop/v1/pipeline.proto', {
  includeDirs: [PROTOS],
  keepCase: true, // field names as in the protos
  defaults: true, // what is 0 or empty does not travel; without this it would be undefined
  enums: String,
  oneofs: true, // response.event names the event that it holds
})
const { PipelineService } = grpc.loadPackageDefinition(contract).tensorhop.v1

/** What people read of an event. */
function line(response) {
  const event = response[response.event]
  switch (response.event) {
    case 'description':
      return `${event.text} ${event.score.toFixed(2)}`
    case 'detections':
      return event.detections.map(found => `${found.label} ${found.score.toFixed(2)}`).join(', ') || 'nothing found'
    case 'fault':
      return `${event.detection.label}: ${event.fault.step} failed: ${event.fault.message} (${event.fault.code})`
    case 'summary':
      return `${event.objects} done, ${event.faults} failed, ${event.seconds.toFixed(2)} s`
  }
}

/** Cuts out one photo; answers whether every object was finished. */
async function cutOut(photo, folder, address) {
  const client = new PipelineService(address, grpc.credentials.createInsecure(), {
    'grpc.max_receive_message_length': MAX_ANSWER,
  })
  const request = { image: { encoded: await readFile(photo) }, max_objects: 4 }
  await mkdir(folder, { recursive: true })
  let whole = false
  try {
    for await (const response of client.Process(request, { deadline: Date.now() + DEADLINE })) {
      if (response.event === 'object') {
        const { detection, picture, seconds } = response.object
        const file = join(folder, `${parse(photo).name}-${detection.index}.png`)
        await writeFile(file, picture.encoded)
        console.log(`object       ${detection.label} ${detection.score.toFixed(2)} -> ${file}  ${seconds.toFixed(2)} s`)
      } else {
        console.log(`${response.event.padEnd(12)} ${line(response)}`)
      }
      if (response.event === 'summary') whole = response.summary.objects > 0 && response.summary.faults === 0
    }
  } finally {
    client.close()
  }
  return whole
}

const [photo, folder = 'out', address = 'localhost:50050'] = process.argv.slice(2)
if (!photo) {
  console.error('usage: node cutouts.js PHOTO [FOLDER] [ADDRESS]')
  process.exit(2)
}
try {
  process.exitCode = (await cutOut(photo, folder, address)) ? 0 : 1
} catch (error) {
  // Of a call: the status by its name, and one sentence that names the field, what came and what is allowed.
  console.error(error.details ? `${grpc.status[error.code]}: ${error.details}` : error.message)
  process.exitCode = 1
}
