import type { ItWords } from './words';

export const zh: ItWords = {
  title: '工位准备好了吗？',
  back: '返回产线',
  again: '再次检查',
  loading: '正在检查工位',
  notRead: { title: '工位没有应答', sentence: '请稍后再试。' },
  notYours: { title: '仅限 IT', sentence: '请先刷工牌并输入 PIN。' },
  all: (level, toDo, findings) => (level === 'ok' ? `已就绪：${findings} 项全部正常` : `${findings} 项中有 ${toDo} 项需要处理`),
  level: { ok: '正常', warn: '请留意', fail: '无法工作' },
  check: {
    usb_endpoints: 'USB 控制器', port: '端口', disk: '磁盘', swap: '交换区', tpm: 'TPM', clock: '时钟', hub: '中心服务器',
  },
  act: {
    usb_endpoints: '把一部分探针插到另一个控制器上。',
    port: '检查线缆和端口权限。',
    disk: '清理磁盘空间。',
    swap: '在这台电脑上关闭交换区。',
    tpm: '在固件设置中打开 TPM，然后封存工位密钥。',
    clock: '连接中心服务器，或用 U 盘带来时间。',
    hub: '检查网线和中心服务器地址。',
  },
  more: '下一页',
  fewer: '回到开头',
};
