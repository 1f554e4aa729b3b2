#!/bin/bash
# Six ImageNet studies on a Slurm cluster: `sbatch slurm.sh`. The account, the partition and the paths are yours to set.
#SBATCH --job-name=snellen
#SBATCH --nodes=8
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=64
#SBATCH --gpus-per-node=8
#SBATCH --exclusive
#SBATCH --time=02:00:00
#SBATCH --requeue
# Two minutes before the time is over the script below is told, and the job is queued again.
#SBATCH --signal=B:TERM@120
#SBATCH --output=snellen-%j.log
set -euo pipefail

# All nodes see these: an environment with snellen[ray], ImageNet in its released layout, the cache, the results.
shared=/shared/snellen
source "$shared/venv/bin/activate"
export SNELLEN_CACHE="$shared/cache"
export RAY_USAGE_STATS_ENABLED=0

nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=$(head -n 1 <<< "$nodes")
# A port of this job's own, in case a node is shared.
address="$head:$((20000 + SLURM_JOB_ID % 10000))"
gpus=$SLURM_GPUS_ON_NODE
# Seconds until the head has to answer.
patience=300

# Told to end, the script tells the study, which drops what it is at; where there is none yet, it begins none.
study='' stopped=0
trap 'stopped=1; [[ -z $study ]] || kill -TERM "$study" || true' TERM

# The same job goes on where this one is.
queue_again() {
    scontrol requeue "$SLURM_JOB_ID"
    exit 3
}

# The first node is the head; each other one joins it. Ray ends with its step.
srun --nodes=1 --ntasks=1 --nodelist="$head" --overlap \
    ray start --head --port="${address##*:}" --num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="$gpus" --block &
ray=$!
until timeout 30 ray status --address="$address" &> /dev/null; do
    if ((stopped)); then queue_again; fi
    if ((SECONDS > patience)) || ! kill -0 "$ray" 2> /dev/null; then
        echo "no Ray on $head after $SECONDS s; see above what it said, or try another node" >&2
        exit 1
    fi
    sleep 2
done
if ((SLURM_NNODES > 1)); then
    srun --nodes="$((SLURM_NNODES - 1))" --ntasks="$((SLURM_NNODES - 1))" --exclude="$head" --overlap \
        ray start --address="$address" --num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="$gpus" --block &
fi

if ((stopped)); then queue_again; fi
# Workers that have no place yet wait for the other nodes to join.
snellen study imagenet --root "$shared/imagenet" --out "$shared/out" \
    --model torchvision/alexnet:IMAGENET1K_V1 \
    --model torchvision/vgg16:IMAGENET1K_V1 \
    --model torchvision/resnet18:IMAGENET1K_V1 \
    --model torchvision/resnet50:IMAGENET1K_V1 \
    --model torchvision/vit_b_32:IMAGENET1K_V1 \
    --model open_clip/ViT-L-14,openai,normalize=imagenet \
    --precision bf16 --device cuda \
    --engine ray --ray-address "$address" --workers "$((SLURM_NNODES * gpus))" &
study=$!
# One that came just before there was a study to tell.
if ((stopped)); then kill -TERM "$study" || true; fi
code=0
wait "$study" || code=$?
if ((stopped)); then # the signal ended the wait, not the study
    code=0
    wait "$study" || code=$?
fi
# 3: stopped in the middle. 143: told to end before it could listen.
if ((code == 3 || (stopped && code == 143))); then queue_again; fi
exit "$code"
