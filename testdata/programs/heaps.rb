# Makes objects, says where some are, and waits.
require 'fiddle'

texts = (0...200_000).map { |number| "s#{number}" }
texts.each_slice(10_000) { |slice| puts "object 0x#{Fiddle.dlwrap(slice[0]).to_s(16)}" }
puts 'ready'
$stdout.flush
$stdin.read(1)
puts texts.size
