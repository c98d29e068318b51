package cli

const importWorkers = 16
