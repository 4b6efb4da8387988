#!/bin/bash
# Two machines with four GPUs each: sbatch examples/slurm/train.sh FILE.yaml
#SBATCH --job-name=tuneboard
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
set -euo pipefail

# The first machine tells the others where it is; the output folder must lie where all of them can write.
export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_PORT=29500
export NNODES=$SLURM_JOB_NUM_NODES
export NPROC_PER_NODE=$SLURM_GPUS_ON_NODE

srun bash -c 'NODE_RANK=$SLURM_NODEID python -m trainer train "$1"' -- "$1"
