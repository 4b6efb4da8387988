#!/bin/bash
# One to four machines, which may come and go: sbatch examples/slurm/elastic.sh FILE.yaml
#SBATCH --job-name=tuneboard-elastic
#SBATCH --nodes=1-4
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
set -euo pipefail

export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_PORT=29500
export RDZV_ID=$SLURM_JOB_ID
export MIN_NNODES=1
export MAX_NNODES=$SLURM_JOB_NUM_NODES
export MAX_RESTARTS=3
export NPROC_PER_NODE=$SLURM_GPUS_ON_NODE

# After a restart the processes go on from the newest checkpoint: save_steps says how much is lost at most.
srun bash -c 'NODE_RANK=$SLURM_NODEID python -m trainer train "$1"' -- "$1"
